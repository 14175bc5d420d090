import type { LogLevel } from '../log.ts'

/** The modes that a first host can give to an empty etcd (ARCHITECTURE.md, section 5); others are refused as not built yet. */
export const MODES = ['vxlan-cross-subnet', 'vxlan', 'direct'] as const
export type Mode = (typeof MODES)[number]

/** Modes of the design that this version does not have; named so that they are refused as such, not as typing errors. */
export const MODES_NOT_BUILT: readonly string[] = ['bgp', 'ipip', 'ipip-cross-subnet', 'wireguard']

/** How this host's underlay address of one family is found. */
export interface AddressConfig {
  /** `autodetect`, `autodetect-if-present` (none is no error), `none`, or an address with or without its prefix length. */
  readonly address: string
  /** `first-found`, `can-reach=DEST`, `interface=REGEX,…`, `skip-interface=REGEX,…`, `cidr=CIDR,…`; see `parseDetectionMethod`. */
  readonly method: string
}

/** A default pool of one family, created by the first host. */
export interface PoolConfig {
  /** A CIDR, `auto` (chosen so that it does not overlap the host's own networks) or `none`. */
  readonly cidr: string
  readonly blockSize: number
  readonly natOutgoing: boolean
  readonly nodeSelector: string
}

/** What a host does about addresses that nobody uses any more. */
export const COLLECT_MODES = ['on', 'dry-run', 'off'] as const
export type CollectMode = (typeof COLLECT_MODES)[number]

/** The whole configuration, checked: every value is usable as it is. */
export interface Config {
  readonly node: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly mode: Mode
  readonly address: { readonly ipv4: AddressConfig; readonly ipv6: AddressConfig }
  readonly pools: { readonly create: boolean; readonly ipv4: PoolConfig; readonly ipv6: PoolConfig }
  readonly ipam: { readonly collect: CollectMode; readonly leakGraceSeconds: number; readonly stickySeconds: number }
  readonly etcd: {
    /** `http://` or `https://` URLs; empty only with `embedded`. */
    readonly endpoints: readonly string[]
    readonly caFile: string
    readonly certFile: string
    readonly keyFile: string
    readonly username: string
    readonly passwordFile: string
    /** This host runs the etcd itself (`margay-etcd.service`). Explicit: a forgotten key must not make a private island. */
    readonly embedded: boolean
    /** IP addresses on which the embedded etcd serves clients, port 23790; anything but loopback needs the three TLS files below. */
    readonly embeddedListen: readonly string[]
    readonly embeddedCertFile: string
    readonly embeddedKeyFile: string
    readonly embeddedClientCaFile: string
  }
  readonly networking: { readonly enabled: boolean }
  readonly policy: { readonly revokeEstablished: boolean }
  readonly log: { readonly level: LogLevel }
  readonly api: { readonly socket: string }
  readonly health: { readonly enabled: boolean; readonly host: string; readonly port: number }
  readonly paths: { readonly state: string; readonly run: string }
}
