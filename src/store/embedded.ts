import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Issue } from '../errors.ts'

/** What the configuration says of the etcd that this host runs itself (a part of `Config`). */
export interface EmbeddedConfig {
  readonly etcd: {
    readonly endpoints: readonly string[]
    readonly embedded: boolean
    readonly embeddedListen: readonly string[]
    readonly embeddedCertFile: string
    readonly embeddedKeyFile: string
    readonly embeddedClientCaFile: string
  }
  readonly paths: { readonly state: string }
}

/** Not 2379 and 2380: a distribution's etcd may be there. */
export const EMBEDDED_CLIENT_PORT = 23790
export const EMBEDDED_PEER_PORT = 23791

/** The URLs under which this host reaches etcd: those given, or its own. */
export function clientEndpoints({ etcd }: EmbeddedConfig): readonly string[] {
  return etcd.embedded ? [`http://127.0.0.1:${EMBEDDED_CLIENT_PORT}`] : etcd.endpoints
}

/** The folder of the embedded etcd's data. */
export function embeddedDataDir({ paths }: EmbeddedConfig): string {
  return join(paths.state, 'etcd')
}

/**
 * The environment of the embedded etcd, which reads all its settings from there: one member, peers on loopback only, clients on
 * loopback without TLS and elsewhere with TLS and client certificates.
 */
export function embeddedEnvironment(config: EmbeddedConfig, arch: string = process.arch): Readonly<Record<string, string>> {
  const { etcd } = config
  const local = `http://127.0.0.1:${EMBEDDED_CLIENT_PORT}`
  const others = etcd.embeddedListen.filter((address) => address !== '127.0.0.1').map((address) => clientUrl(address))
  const peer = `http://127.0.0.1:${EMBEDDED_PEER_PORT}`
  return {
    ETCD_NAME: 'margay',
    ETCD_DATA_DIR: embeddedDataDir(config),
    ETCD_LISTEN_CLIENT_URLS: [local, ...others].join(','),
    ETCD_ADVERTISE_CLIENT_URLS: others.find((url) => url.startsWith('https:')) ?? local,
    ETCD_LISTEN_PEER_URLS: peer,
    ETCD_INITIAL_ADVERTISE_PEER_URLS: peer,
    ETCD_INITIAL_CLUSTER: `margay=${peer}`,
    ETCD_INITIAL_CLUSTER_STATE: 'new',
    ...tlsSettings(etcd),
    ...SETTINGS,
    // etcd 3.4 refuses to run on arm64 without it.
    ...(arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {}),
  }
}

/** What is wrong with the configuration of the embedded etcd; nothing if there is none. */
export function embeddedIssues({ etcd }: EmbeddedConfig): readonly Issue[] {
  if (!etcd.embedded) return []
  const issues: Issue[] = []
  for (const address of etcd.embeddedListen) {
    if (isIP(address) === 0) issues.push({ path: 'etcd.embeddedListen', message: `not an IP address: ${JSON.stringify(address)}` })
  }
  const open = etcd.embeddedListen.filter((address) => !isLoopback(address))
  for (const name of TLS_FILES) {
    if (open.length === 0 || etcd[name] !== '') continue
    issues.push({
      path: `etcd.${name}`,
      message: `is missing: ${open.join(', ')} can be reached by others, which needs TLS and client certificates`,
    })
  }
  return issues
}

/**
 * Settings as the text of a file that systemd's `EnvironmentFile=` reads: values in double quotes, in which `"`, `\`, `` ` `` and `$`
 * are escaped (systemd.exec(5)).
 */
export function environmentFile(environment: Readonly<Record<string, string>>): string {
  const lines = Object.entries(environment).map(([name, value]) => `${name}="${value.replace(/["\\`$]/g, '\\$&')}"\n`)
  return lines.join('')
}

const TLS_FILES = ['embeddedCertFile', 'embeddedKeyFile', 'embeddedClientCaFile'] as const

const SETTINGS: Readonly<Record<string, string>> = {
  // An hour of history: who was away longer lists again.
  ETCD_AUTO_COMPACTION_MODE: 'periodic',
  ETCD_AUTO_COMPACTION_RETENTION: '1h',
  ETCD_QUOTA_BACKEND_BYTES: String(2 * 1024 ** 3),
  // The default of 3.4, 100,000, keeps that many entries in memory and makes restarts slow.
  ETCD_SNAPSHOT_COUNT: '10000',
  // There is nobody to wait for: it leads half a second after its start, and not after one and a half.
  ETCD_HEARTBEAT_INTERVAL: '50',
  ETCD_ELECTION_TIMEOUT: '500',
  ETCD_LOGGER: 'zap',
  ETCD_LOG_LEVEL: 'warn',
}

function tlsSettings(etcd: EmbeddedConfig['etcd']): Readonly<Record<string, string>> {
  if (etcd.embeddedListen.every(isLoopback)) return {}
  return {
    ETCD_CERT_FILE: etcd.embeddedCertFile,
    ETCD_KEY_FILE: etcd.embeddedKeyFile,
    ETCD_TRUSTED_CA_FILE: etcd.embeddedClientCaFile,
    ETCD_CLIENT_CERT_AUTH: 'true',
  }
}

function clientUrl(address: string): string {
  const host = isIP(address) === 6 ? `[${address}]` : address
  return `${isLoopback(address) ? 'http' : 'https'}://${host}:${EMBEDDED_CLIENT_PORT}`
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^127\./.test(address)
}
