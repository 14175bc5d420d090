import type { CutSession, Flow, ResourceChange } from '../model/own/questions.ts'
import { familyOf, type Ip, isIp, parseIp } from '../net/ip.ts'
import type { ImplicitAllow } from '../policy/evaluate-path.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'
import { createExplainSource, type ExplainSource } from '../questions/known-host.ts'
import { withChanges } from '../questions/overlay.ts'
import { finish, policeHost } from '../questions/policed-host.ts'
import { cutSessions, type Session } from '../questions/sessions.ts'

/** What is known of the connections of hosts that can't be asked. */
export interface KnownSessions {
  /** Over which whoever asks works himself. */
  readonly callers: readonly Flow[]
  /** Where etcd is. */
  readonly endpoints: readonly string[]
}

const [SSH_PORT, TCP] = [22, 6]
/** Any of those that programs get. */
const SOME_PORT = 40_000

/** Hosts as the store knows them, before and after changes. */
export function createStoredHosts(maps: ResourceMaps, changes: readonly ResourceChange[], known: KnownSessions) {
  const at = (resources: ResourceMaps) => withEtcd(createExplainSource(resources), known.endpoints)
  const sources = { before: at(maps), after: at(withChanges(maps, changes)) }
  return {
    /** The connections that would be cut on this host: SSH from where the caller is, and the host's own to etcd. */
    cutOn(node: string): readonly CutSession[] {
      const host = sources.after.hosts.of(node)
      const { uplink, interfaces } = host.known
      const own = interfaces.flatMap(({ addresses }) => addresses)
      const sessions = [...sshTo(own, known.callers), ...etcdFrom(own, known.endpoints)]
      const flows = sessions.map((session) => {
        const near = session.isIncoming ? session.destination : session.source
        const link = interfaces.find(({ addresses }) => addresses.includes(near.address))?.name ?? uplink
        return { ...session, ...(session.isIncoming ? { in: link } : { out: link }) }
      })
      const addresses = flows.flatMap(({ source, destination }) => [source.address, destination.address])
      const [before, after] = [sources.before, sources.after].map((source) => finish(policeHost(source, node, addresses)))
      if (before === undefined || after === undefined) return []
      return cutSessions(flows, { before: before.host, after: after.host }, sources)
    },
  }
}

/** Hosts always let etcd through where they use it: they are taken to use the one that the caller does. */
function withEtcd(source: ExplainSource, endpoints: readonly string[]): ExplainSource {
  const etcd = endpoints.map((endpoint): ImplicitAllow => {
    const { address, port } = endOf(endpoint)
    return { name: 'etcd', protocol: TCP, port, direction: 'egress', isPeer: (ip) => ip === address }
  })
  const of = (node: string) => ({ ...source.hosts.of(node), implicit: [...source.hosts.of(node).implicit, ...etcd] })
  return { ...source, hosts: { of } }
}

function endOf(endpoint: string): { readonly address: string; readonly port: number } {
  const { hostname, port } = new URL(endpoint)
  return { address: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 2379) }
}

/** A session that ends at the host, and one that the caller would open to it from where he is. */
function sshTo(own: readonly Ip[], callers: readonly Flow[]): readonly Session[] {
  const taken = callers.flatMap((flow): Session[] =>
    own.includes(flow.destination.address) ? [{ ...flow, what: 'SSH', isIncoming: true }] : [],
  )
  if (taken.length > 0) return taken
  return callers.flatMap(({ source }) =>
    own
      .filter((address) => familyOf(address) === familyOf(source.address))
      .map((address): Session => {
        const ends = { source: { address: source.address, port: SOME_PORT }, destination: { address, port: SSH_PORT } }
        return { ...ends, what: 'SSH', isIncoming: true, protocol: TCP }
      }),
  )
}

function etcdFrom(own: readonly Ip[], endpoints: readonly string[]): readonly Session[] {
  return endpoints.flatMap((endpoint) => {
    const { address: name, port } = endOf(endpoint)
    if (!isIp(name) || name === '::1' || name.startsWith('127.') || own.includes(parseIp(name))) return []
    const destination = { address: parseIp(name), port }
    const source = own.find((address) => familyOf(address) === familyOf(name))
    if (source === undefined) return []
    return [{ what: 'etcd', isIncoming: false, source: { address: source, port: SOME_PORT }, destination, protocol: TCP } as const]
  })
}
