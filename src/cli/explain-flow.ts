import type { Family, Ip } from '../net/ip.ts'
import type { AnsweredLeg } from '../questions/asked-legs.ts'
import { type ExplainedLeg, explainLeg, isTunnelDevice } from '../questions/explain-leg.ts'
import type { ExplainSource } from '../questions/known-host.ts'
import type { ExplainedRoute } from '../routing/explain-route.ts'
import type { FlowQuestion } from './explain-question.ts'
import type { Way } from './explain-way.ts'

/** What one host on the way does with the packet. */
export interface ExplainedHost extends ExplainedLeg {
  /** No host before it denies the packet. */
  readonly isReached: boolean
  /** `host`: it was asked, and says so itself. */
  readonly basis: 'host' | 'store'
}

/** The answer for one family. */
export interface ExplainedFlow {
  readonly family: Family
  readonly source: Ip
  readonly destination: Ip
  readonly route?: ExplainedRoute
  /** The address that NAT gives the source on its way. */
  readonly translatedSource?: Ip
  /** In the order in which the packet passes them; after one that denies it, as if it had not. */
  readonly hosts: readonly ExplainedHost[]
  readonly verdict: 'allow' | 'deny' | 'unreachable'
  /** If staged policies were enforced. */
  readonly stagedVerdict: ExplainedFlow['verdict']
  readonly because: string
  /** What the way carries at most; uplinks are taken to carry 1500. Bytes. */
  readonly mtuBytes: number
  /** What is not in the store and was taken for granted. */
  readonly assumptions: readonly string[]
}

/** Follows the first packet of a connection from end to end; `answered` is what hosts say themselves, leg by leg. */
export function explainFlow(
  source: ExplainSource,
  question: FlowQuestion,
  planned: Way,
  answered: readonly (AnsweredLeg | undefined)[] = [],
): ExplainedFlow {
  const way = { ...planned, ...answeredWay(planned, answered) }
  const heard = new Set(answered.flatMap((one) => one?.leg.node ?? []))
  const explained = way.legs.map((leg, index) =>
    answered[index] === undefined
      ? { ...explainLeg(source, question, leg), basis: 'store' as const }
      : { ...answered[index].leg, basis: 'host' as const },
  )
  const denied = explained.find(({ verdict }) => verdict === 'deny')
  const last = denied === undefined ? explained.length - 1 : explained.indexOf(denied)
  const isArrived = (index: number) => index <= last && (index === 0 || way.problem === undefined)
  const hosts = explained.map((host, index) => ({ ...host, isReached: isArrived(index) }))
  const isStagedDenied = hosts.some(({ stagedVerdict }) => stagedVerdict === 'deny')
  const otherwise = way.problem === undefined ? 'allow' : 'unreachable'
  return {
    family: question.family,
    source: way.addresses.source,
    destination: way.addresses.destination,
    ...(way.route === undefined ? {} : { route: way.route }),
    ...(way.translated === undefined ? {} : { translatedSource: way.translated }),
    hosts,
    verdict: denied === undefined ? otherwise : 'deny',
    stagedVerdict: isStagedDenied ? 'deny' : otherwise,
    because: denied === undefined ? (way.problem ?? whyAllowed(hosts)) : whyDenied(denied),
    mtuBytes: way.mtuBytes,
    assumptions: way.assumptions.flatMap(({ node, text }) => (node !== undefined && heard.has(node) ? [] : [text])),
  }
}

/** What hosts say goes before what was taken for granted of them. */
function answeredWay({ legs, problem, mtuBytes }: Way, answered: readonly (AnsweredLeg | undefined)[]): Partial<Way> {
  const said = answered.filter((one) => one !== undefined)
  if (said.length === 0) return {}
  const mtu = Math.min(...said.map((one) => one.mtuBytes), ...(said.length < legs.length ? [mtuBytes] : []))
  const unreachable = problem ?? said.find((one) => one.problem !== undefined)?.problem
  return { mtuBytes: mtu, ...(unreachable === undefined ? {} : { problem: unreachable }) }
}

function whyAllowed(hosts: readonly ExplainedHost[]): string {
  if (hosts.length === 0) return 'it does not leave the workload'
  return `nothing on ${[...new Set(hosts.map(({ node }) => node))].join(' and ')} denies it`
}

function whyDenied({ node, in: received, steps, tunnel = [] }: ExplainedLeg): string {
  const inOrder = isTunnelDevice(received) ? [...tunnel, ...steps] : [...steps, ...tunnel]
  const step = inOrder.find(({ verdict }) => verdict === 'deny')
  const last = step?.checks.at(-1)
  const name = last?.name === undefined ? '' : `${last.name}, `
  return `${node}, ${step?.place}: ${last === undefined ? step?.because : `${name}${last.text}`}`
}
