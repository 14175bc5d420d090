import type { Schema, SchemaObj } from 'convict'
import { LOG_LEVELS } from '../log.ts'
import type { Family } from '../net/ip.ts'
import { csv, type Format, flag, ip, listenIp, oneOf, path, port, socketPath, uint, url, word } from './formats.ts'
import { COLLECT_MODES, type Config } from './types.ts'
import { addressOf, BLOCK_SIZES, detection, labels, mode, nodeName, poolCidr, selector } from './values.ts'

/** The configuration as convict holds it: as `Config`, but for labels, which are `key=value` texts. */
export type Settings = Omit<Config, 'node'> & { readonly node: { readonly name: string; readonly labels: readonly string[] } }

/** One key: where it stands, what it means, and how its values are read. */
export interface Setting {
  /** `etcd.caFile`. */
  readonly path: string
  readonly doc: string
  readonly default: unknown
  readonly parser: Format<unknown>
  /** `MARGAY_ETCD_CA_FILE`. */
  readonly env: string
  /** `--etcd-ca-file`. */
  readonly flag: string
}

/** What a group of keys is about, for the reference and the example. */
export const GROUPS: Readonly<Record<string, string>> = {
  node: 'This host.',
  mode: 'How packets get from host to host.',
  address: "This host's own addresses on the underlay, by which other hosts reach it.",
  pools: 'The address pools that the first host creates in an empty etcd. Afterwards the IPPool resources win.',
  ipam: 'Addresses: what becomes of those that nobody uses any more, docs/ipam.md.',
  etcd: 'The etcd that all hosts share. Either endpoints or embedded; neither is an error.',
  networking: 'Whether margay moves packets at all.',
  policy: 'What follows from policies beside their rules, docs/policy.md.',
  log: 'Log lines go to standard error, one JSON object each.',
  api: "The daemon's API for the command line, on a unix socket.",
  health: 'GET /liveness, GET /readiness and GET /metrics over HTTP.',
  paths: 'Where files are kept.',
}

/** Every key, its default and its format, in the order in which the example shows them. */
export const SCHEMA: Schema<Settings> = {
  node: {
    name: key(nodeName, '', 'Name of this host in etcd. Empty: the host name in lower case. Never change it while the host has workloads.'),
    labels: key(labels, [], 'Labels of the Node resource, for the node selectors of pools.'),
  },
  mode: key(
    mode,
    'vxlan-cross-subnet',
    'What the first host creates in an empty etcd: vxlan-cross-subnet (VXLAN between subnets, plain routes within one), vxlan (always) or direct (never: one subnet only). Afterwards the resources win, and `margay status` shows a difference.',
  ),
  address: {
    ipv4: addressKeys(4, 'autodetect'),
    ipv6: addressKeys(6, 'autodetect-if-present'),
  },
  pools: {
    create: key(flag, true, 'Create default pools when etcd has none. False: pools are applied by hand.'),
    ipv4: poolKeys(4, 26, true),
    ipv6: poolKeys(6, 122, false),
  },
  ipam: {
    collect: key(
      oneOf('way to collect', COLLECT_MODES),
      'on',
      'Whether this host gives back addresses, blocks and claims that nobody uses: its own, and, if it leads, those of hosts that are gone. dry-run only says in the log what it would do.',
    ),
    leakGraceSeconds: key(
      uint('number of seconds', 10, 604_800),
      900,
      'So long something must have been found unused, each time that it was looked at, before it is given back.',
    ),
    stickySeconds: key(
      uint('number of seconds', 0, 604_800),
      600,
      'So long a workload that was removed gets its addresses again when one of the same name comes to this host, if they are still free. 0: never.',
    ),
  },
  etcd: {
    endpoints: key(csv(url), [], 'Client URLs of the etcd members: http://HOST:PORT or https://HOST:PORT.'),
    caFile: key(path(true), '', 'PEM file with the certificate authorities that are trusted for https. Empty: those of the system.'),
    certFile: key(path(true), '', 'PEM file with the client certificate. Needs etcd.keyFile.'),
    keyFile: key(path(true), '', "PEM file with the client certificate's private key. Needs etcd.certFile."),
    username: key(word, '', 'User of etcd. Needs etcd.passwordFile.'),
    passwordFile: key(
      path(true),
      '',
      'File whose first line is the password of etcd.username. The password itself never stands in the configuration.',
    ),
    embedded: key(flag, false, 'Run a single etcd on this host, under paths.state, as margay-etcd.service. Excludes etcd.endpoints.'),
    embeddedListen: key(
      csv(listenIp),
      [],
      'Addresses on which the embedded etcd serves other hosts, port 23790, beside loopback. Other than loopback needs the three files below.',
    ),
    embeddedCertFile: key(path(true), '', 'PEM file with the server certificate of the embedded etcd.'),
    embeddedKeyFile: key(path(true), '', 'PEM file with its private key.'),
    embeddedClientCaFile: key(path(true), '', 'PEM file with the certificate authorities of the clients, which must show a certificate.'),
  },
  networking: {
    enabled: key(flag, true, 'False: policy only. No pools, no tunnels, no forwarding; the host keeps its own routes.'),
  },
  policy: {
    revokeEstablished: key(
      flag,
      true,
      'Whether a change of policy ends the open flows that it denies, within a second. False: they go on, as with Calico, until they end by themselves.',
    ),
  },
  log: {
    level: key(oneOf('log level', LOG_LEVELS), 'info', 'The least level that is written: debug, info, warn or error.'),
  },
  api: {
    socket: key(socketPath, '/run/margay/margay.sock', 'Path of the unix socket. Whoever may write to it controls the daemon.'),
  },
  health: {
    enabled: key(flag, true, 'Serve health checks and metrics.'),
    host: key(ip, '127.0.0.1', 'Address to listen on.'),
    port: key(port, 9099, 'TCP port to listen on.'),
  },
  paths: {
    state: key(path(false), '/var/lib/margay', 'What must survive a reboot: the saved view, boot rules, the embedded etcd.'),
    run: key(path(false), '/run/margay', 'What need not: pinned network namespaces.'),
  },
}

/** All keys, flat, in order. */
export const SETTINGS: readonly Setting[] = settingsOf(SCHEMA, [])

/** The setting with this path. */
export function settingAt(wanted: string): Setting | undefined {
  return SETTINGS.find((setting) => setting.path === wanted)
}

/** Whether the path is a group of keys. */
export function isGroup(wanted: string): boolean {
  return SETTINGS.some((setting) => setting.path.startsWith(`${wanted}.`))
}

function key<T>(parser: Format<T>, fallback: T, doc: string): SchemaObj<T> & { readonly parser: Format<T> } {
  return {
    doc,
    default: fallback,
    parser,
    format: (value: unknown) => {
      parser.parse(value, 'file')
    },
  }
}

function addressKeys(family: Family, fallback: string) {
  const example = family === 4 ? '192.0.2.10/24' : '2001:db8::10/64'
  return {
    address: key(
      addressOf(family),
      fallback,
      `autodetect, autodetect-if-present (having none is no error), none, or the address itself, best with its prefix length (${example}).`,
    ),
    method: key(
      detection,
      'first-found',
      'How it is detected: first-found, can-reach=DESTINATION, interface=REGEX,…, skip-interface=REGEX,… or cidr=CIDR,…. Regular expressions are not anchored. When several addresses fit, the daemon refuses to guess and names them.',
    ),
  }
}

function poolKeys(family: Family, blockSize: number, natOutgoing: boolean) {
  const [min, max] = BLOCK_SIZES[family]
  return {
    cidr: key(
      poolCidr(family),
      'auto',
      `Prefix of the IPv${family} pool, auto (${family === 4 ? "192.168.0.0/16, or one that does not overlap the host's networks" : 'a random one under fd00::/8'}) or none.`,
    ),
    blockSize: key(uint('block size', min, max), blockSize, `Prefix length of the blocks that hosts claim, ${min} to ${max}.`),
    natOutgoing: key(flag, natOutgoing, 'Masquerade packets that leave all pools.'),
    nodeSelector: key(selector, 'all()', 'Which hosts may claim blocks of the pool.'),
  }
}

function settingsOf(node: object, parents: readonly string[]): readonly Setting[] {
  return Object.entries(node).flatMap(([name, child]) => {
    const at = [...parents, name]
    return 'parser' in child ? [settingOf(at, child)] : settingsOf(child, at)
  })
}

function settingOf(at: readonly string[], found: { doc: string; default: unknown; parser: Format<unknown> }): Setting {
  const words = at.flatMap((part) => part.split(/(?=[A-Z])/)).map((part) => part.toLowerCase())
  return {
    path: at.join('.'),
    doc: found.doc,
    default: found.default,
    parser: found.parser,
    env: `MARGAY_${words.join('_').toUpperCase()}`,
    flag: `--${words.join('-')}`,
  }
}
