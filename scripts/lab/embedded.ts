import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificates } from './certificates.ts'
import type { ConfigFile } from './daemon.ts'
import { type EtcdSpec, type LabEtcd, startEtcd, unpacked } from './etcd.ts'
import type { LabHost, Topology } from './topology.ts'

const CLIENT_PORT = 23_790
const PEER_PORT = 23_791

/** The first host's own etcd, which serves the others with certificates, and the `etcd` settings of each host. */
export async function prepareEmbedded(topology: Topology, folder: string): Promise<{ etcd: LabEtcd; configs: readonly ConfigFile[] }> {
  const first = topology.hosts[0]
  if (first === undefined) throw new Error('an embedded etcd needs a host')
  const made = await makeCertificates(join(folder, 'pki'), ['127.0.0.1', first.ipv4])
  for (const host of topology.hosts) giveFiles(host, [made.ca, made.client.cert, made.client.key])
  giveFiles(first, [made.server.cert, made.server.key])
  const client = { caFile: '/etc/margay/ca.crt', certFile: '/etc/margay/client.crt', keyFile: '/etc/margay/client.key' }
  const server = {
    embedded: true,
    embeddedListen: [first.ipv4],
    embeddedCertFile: '/etc/margay/server.crt',
    embeddedKeyFile: '/etc/margay/server.key',
    embeddedClientCaFile: '/etc/margay/ca.crt',
  }
  const etcd = await startEtcd(embeddedEtcd(first, folder, made))
  const configs = topology.hosts.map((host) => (host === first ? { ...client, ...server } : { ...client, endpoints: [etcd.endpoint] }))
  return { etcd, configs }
}

/** The command line of margay-etcd.service, which stands here for systemd. */
function embeddedEtcd(host: LabHost, folder: string, made: Awaited<ReturnType<typeof makeCertificates>>): EtcdSpec {
  const endpoint = `https://${host.ipv4}:${CLIENT_PORT}`
  const peer = `http://127.0.0.1:${PEER_PORT}`
  const argv = [
    ...[unpacked('usr/bin/etcd'), '--name', 'margay', '--data-dir', '/var/lib/margay/etcd'],
    ...['--listen-client-urls', `${endpoint},https://127.0.0.1:${CLIENT_PORT}`, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `margay=${peer}`],
    ...['--cert-file', '/etc/margay/server.crt', '--key-file', '/etc/margay/server.key'],
    ...['--trusted-ca-file', '/etc/margay/ca.crt', '--client-cert-auth', '--logger', 'zap', '--log-level', 'warn'],
  ]
  return { place: host, folder, argv, endpoint, tls: { ca: made.ca, ...made.client } }
}

function giveFiles(host: LabHost, paths: readonly string[]): void {
  mkdirSync(join(host.folder, 'etc'), { recursive: true })
  for (const path of paths) copyFileSync(path, join(host.folder, 'etc', path.split('/').at(-1) ?? path))
}
