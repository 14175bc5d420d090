import type { Flow } from '../model/own/questions.ts'
import { familyOf } from '../net/ip.ts'
import { evaluatePath, type PathPacket, type PolicedHost } from '../policy/evaluate-path.ts'
import { type ExplainedPath, explainPath, type RuleSource } from '../policy/explain.ts'
import type { ConnectionState, PacketEnd } from '../policy/packet.ts'

/** A connection and its way through this host. */
export interface HostFlow extends Flow {
  /** The interface by which its first packet comes; absent where the host opens it. */
  readonly in?: string | undefined
  /** The interface by which it goes on; absent where the host is its end. */
  readonly out?: string | undefined
  /** Where destination NAT sends it. */
  readonly translated?: PacketEnd | undefined
  /** The kernel's connection tracking knows it, unless this is false. */
  readonly isTracked?: boolean | undefined
}

const TCP = 6

/**
 * Why a connection would not come about now, in words; undefined: it would. Both its first packet and the answer are asked: rules before
 * connection tracking see each direction alone.
 */
export function whyDenied(source: RuleSource, host: PolicedHost, flow: HostFlow): string | undefined {
  const first = packetOf(flow, 'new')
  const asked = evaluatePath(host, first)
  if (asked.verdict === 'deny') return describeDenial(explainPath(source, host, first))
  const isUntracked = asked.steps.some(({ place, verdict }) => place === 'untracked' && verdict === 'allow')
  // Of an answer to what was not tracked tracking makes nothing, unless the protocol has no states.
  const answer = answerOf(flow, isUntracked ? (flow.protocol === TCP ? 'invalid' : 'new') : 'established')
  if (evaluatePath(host, answer).verdict === 'allow') return undefined
  return `its answers: ${describeDenial(explainPath(source, host, answer))}`
}

/** The endpoint whose policies deny the packet that opens the connection; undefined: none does. */
export function deniedBy(host: PolicedHost, flow: HostFlow): string | undefined {
  const { verdict, steps } = evaluatePath(host, packetOf(flow, 'new'))
  return verdict === 'deny' ? steps.at(-1)?.endpoint : undefined
}

/** Whether packets of the connection pass as long as tracking knows it. */
export function passesWhileOpen(host: PolicedHost, flow: HostFlow): boolean {
  return [packetOf(flow, 'established'), answerOf(flow, 'established')].every((packet) => evaluatePath(host, packet).verdict === 'allow')
}

/** Why a connection comes about that nothing denies, in words. */
export function whyAllowed(source: RuleSource, host: PolicedHost, flow: HostFlow): string {
  return describeAllowance(explainPath(source, host, packetOf(flow, 'new')))
}

function packetOf({ source, destination, protocol, icmp, translated, ...way }: HostFlow, state: ConnectionState): PathPacket {
  const ways = { inInterface: way.in, outInterface: way.out }
  return { family: familyOf(source.address), protocol, source, destination, icmp, translated, state, ...ways }
}

/** Seen where rules come before NAT: an answer has the address that NAT sent the question to. */
function answerOf({ source, destination, protocol, icmp, translated, ...way }: HostFlow, state: ConnectionState): PathPacket {
  const ends = { source: translated ?? destination, destination: source }
  return { family: familyOf(source.address), protocol, ...ends, icmp, state, inInterface: way.out, outInterface: way.in }
}

/** What denied a packet: place, endpoint, policy and rule. */
export function describeDenial({ steps }: Pick<ExplainedPath, 'steps'>): string {
  const step = steps.find(({ verdict }) => verdict === 'deny')
  const last = step?.checks.at(-1)
  const name = last?.name === undefined ? '' : `${last.name}, `
  const endpoint = step?.endpoint === undefined ? '' : `, ${step.endpoint}`
  return `${step?.place}${endpoint}: ${last === undefined ? step?.because : `${name}${last.text}`}`
}

/** What nobody's policy looked at: where a host endpoint is, a forwarded packet only meets policies with preDNAT or applyOnForward. */
export const UNCOVERED = 'no policy with preDNAT or applyOnForward is asked'

/** What allowed a packet: policy and rule, a failsafe, or that nothing was asked. */
export function describeAllowance({ steps }: ExplainedPath): string {
  const isForwarded = steps.some(({ place }) => place.startsWith('forward'))
  for (const { verdict, because, checks, endpoint } of [...steps].reverse()) {
    const last = checks.at(-1)
    if (verdict === 'allow' && last !== undefined) return `${last.name === undefined ? '' : `${last.name}, `}${last.text}`
    if (because !== undefined) return endpoint === undefined ? because : `${because} of ${endpoint}`
  }
  return isForwarded || steps.length > 0 ? UNCOVERED : 'no host endpoint'
}
