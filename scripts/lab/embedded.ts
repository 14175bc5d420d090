import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { EMBEDDED_CLIENT_PORT, type EmbeddedConfig, embeddedEnvironment } from '../../src/store/embedded.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import type { ConfigFile } from './daemon.ts'
import { type EtcdSpec, type LabEtcd, startEtcd, unpacked } from './etcd.ts'
import type { LabHost, Topology } from './topology.ts'

type Server = Omit<EmbeddedConfig['etcd'], 'endpoints'>

/** The first host's own etcd, which serves the others with certificates, and the `etcd` settings of each host. */
export async function prepareEmbedded(topology: Topology, folder: string): Promise<{ etcd: LabEtcd; configs: readonly ConfigFile[] }> {
  const first = topology.hosts[0]
  if (first === undefined) throw new Error('an embedded etcd needs a host')
  const made = await makeCertificates(join(folder, 'pki'), ['127.0.0.1', first.ipv4])
  for (const host of topology.hosts) giveFiles(host, [made.ca, made.client.cert, made.client.key])
  giveFiles(first, [made.server.cert, made.server.key])
  const client = { caFile: '/etc/margay/ca.crt', certFile: '/etc/margay/client.crt', keyFile: '/etc/margay/client.key' }
  const server: Server = {
    embedded: true,
    embeddedListen: [first.ipv4],
    embeddedCertFile: '/etc/margay/server.crt',
    embeddedKeyFile: '/etc/margay/server.key',
    embeddedClientCaFile: '/etc/margay/ca.crt',
  }
  const etcd = await startEtcd(embeddedEtcd(first, folder, server, made))
  const configs = topology.hosts.map((host) => (host === first ? server : { ...client, endpoints: [etcd.endpoint] }))
  return { etcd, configs }
}

/** What margay-etcd.service runs, which stands here for systemd: etcd reads all its settings from its environment. */
function embeddedEtcd(host: LabHost, folder: string, etcd: Server, made: Certificates): EtcdSpec {
  const env = embeddedEnvironment({ etcd: { ...etcd, endpoints: [] }, paths: { state: '/var/lib/margay' } })
  const endpoint = `https://${host.ipv4}:${EMBEDDED_CLIENT_PORT}`
  return { place: host, folder, argv: [unpacked('usr/bin/etcd')], env, endpoint, tls: { ca: made.ca, ...made.client } }
}

function giveFiles(host: LabHost, paths: readonly string[]): void {
  mkdirSync(join(host.folder, 'etc'), { recursive: true })
  for (const path of paths) copyFileSync(path, join(host.folder, 'etc', path.split('/').at(-1) ?? path))
}
