import type { ObservedGroup, ObservedReport } from '../model/own/observed.ts'
import { cidrOf } from '../net/cidr.ts'
import { familyOf, type Ip } from '../net/ip.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { RuleSource } from '../policy/explain.ts'
import { type HostFlow, whyAllowed, whyDenied } from './judge.ts'

/** So many peers of one kind are named one by one; of more their networks. */
const MOST_PEERS = 8
/** What stands for a network of peers. Bits. */
const PEER_BITS = { 4: 24, 6: 64 } as const
/** So many groups are told. */
const MOST_GROUPS = 500

/** Of the interfaces of a host those for which host endpoints would be, with the endpoint of each. */
export function interfacesOf(host: PolicedHost, ids: ReadonlySet<string>, all: readonly string[]): ReadonlyMap<string, string> {
  const own = [...host.hostEndpoints].flatMap(([name, { id }]) => (ids.has(id) && all.includes(name) ? [[name, id] as const] : []))
  const { wildcard } = host
  const others = wildcard !== undefined && ids.has(wildcard.id) ? all.filter((name) => !host.hostEndpoints.has(name)) : []
  return new Map([...own, ...others.map((name) => [name, wildcard?.id ?? ''] as const)])
}

/** Judges connections as they come, and counts those that are alike. */
export class Observation {
  readonly #source: RuleSource
  readonly #host: PolicedHost
  readonly #interfaces: ReadonlyMap<string, string>
  readonly #seen = new Map<string, Judged>()

  constructor(source: RuleSource, host: PolicedHost, interfaces: ReadonlyMap<string, string>) {
    this.#source = source
    this.#host = host
    this.#interfaces = interfaces
  }

  /** Takes a connection, which counts once however often it is seen. What passes no interface in question is no matter. */
  note(key: string, flow: HostFlow): void {
    if (this.#seen.has(key)) return
    const name = [flow.in, flow.out].find((one) => one !== undefined && this.#interfaces.has(one))
    if (name === undefined) return
    const because = whyDenied(this.#source, this.#host, flow)
    this.#seen.set(key, { flow, name, isDenied: because !== undefined, because: because ?? whyAllowed(this.#source, this.#host, flow) })
  }

  /** What was seen. */
  report(): Pick<ObservedReport, 'denied' | 'allowed' | 'groups' | 'groupsTotal'> {
    const all = [...this.#seen.values()]
    const denied = all.filter(({ isDenied }) => isDenied).length
    const groups = groupAll(all).sort((a, b) => (a.verdict === b.verdict ? b.count - a.count : a.verdict === 'deny' ? -1 : 1))
    return { denied, allowed: all.length - denied, groups: groups.slice(0, MOST_GROUPS), groupsTotal: groups.length }
  }
}

interface Judged {
  readonly flow: HostFlow
  readonly name: string
  readonly isDenied: boolean
  readonly because: string
}

function groupAll(all: readonly Judged[]): ObservedGroup[] {
  const alike = new Map<string, { readonly first: Judged; readonly peers: Map<Ip, number> }>()
  for (const one of all) {
    const { flow, name, because } = one
    const key = JSON.stringify([directionOf(flow), name, flow.protocol, portOf(flow), because])
    const known = alike.get(key) ?? { first: one, peers: new Map<Ip, number>() }
    const peer = peerOf(flow)
    known.peers.set(peer, (known.peers.get(peer) ?? 0) + 1)
    alike.set(key, known)
  }
  return [...alike.values()].flatMap(({ first, peers }) => {
    const { flow, name, isDenied, because } = first
    const port = portOf(flow)
    const what = { direction: directionOf(flow), interface: name, protocol: flow.protocol, ...(port === undefined ? {} : { port }) }
    return [...joinPeers(peers)].map(([peer, count]) => ({ verdict: isDenied ? 'deny' : 'allow', ...what, peer, count, because }) as const)
  })
}

function joinPeers(peers: ReadonlyMap<Ip, number>): ReadonlyMap<string, number> {
  if (peers.size <= MOST_PEERS) return peers
  const networks = new Map<string, number>()
  for (const [ip, count] of peers) {
    const network = cidrOf(ip, PEER_BITS[familyOf(ip)])
    networks.set(network, (networks.get(network) ?? 0) + count)
  }
  return networks
}

function directionOf(flow: HostFlow): ObservedGroup['direction'] {
  return flow.out === undefined ? 'in' : flow.in === undefined ? 'out' : 'forwarded'
}

/** Who is at the other end, seen from the host; of what is forwarded whoever began it. */
function peerOf(flow: HostFlow): Ip {
  return (directionOf(flow) === 'out' ? flow.destination : flow.source).address
}

function portOf({ destination, icmp }: HostFlow): number | undefined {
  return icmp?.type ?? destination.port
}
