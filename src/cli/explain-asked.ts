import { RESOURCES_PREFIX } from '../model/keys.ts'
import { type AnsweredLeg, readAnsweredLegs } from '../questions/asked-legs.ts'
import type { ExplainSource } from '../questions/known-host.ts'
import type { Store } from '../store/store.ts'
import type { MutableView } from '../store/view.ts'
import { askKind } from './ask-hosts.ts'
import type { FlowQuestion } from './explain-question.ts'
import type { Way } from './explain-way.ts'

/** The ways of packets, as the store has them. */
export interface LegsQuestion {
  readonly view: MutableView
  readonly from: ExplainSource
  readonly flows: readonly { readonly question: FlowQuestion; readonly way: Way }[]
  /** With what hosts try of policy now. */
  readonly isTried?: boolean
}

/** What hosts say themselves, flow by flow and leg by leg. */
export interface AnsweredLegs {
  readonly answered: readonly (readonly (AnsweredLeg | undefined)[])[]
  readonly heard: readonly string[]
  /** Hosts that are alive and said nothing, or nothing that fits. */
  readonly silent: readonly { readonly node: string; readonly because: string }[]
}

/** Asks the hosts on the way that live, each about its part of it. */
export async function askLegs(store: Store, { view, flows, isTried }: LegsQuestion, signal: AbortSignal): Promise<AnsweredLegs> {
  const legs = flows.flatMap(({ question, way }) => way.legs.map((leg) => ({ leg, packet: packetOf(question), isTried })))
  const nodes = new Set(legs.map(({ leg }) => leg.node).filter((node) => view.get('Live').has(node)))
  if (nodes.size === 0) return { answered: [], heard: [], silent: [] }
  const question = { kind: 'explain', body: legs, revision: revisionOf(view), nodes } as const
  const { answers, silent } = await askKind(store, question, readAnsweredLegs, signal)
  // A host of an older version says what it would do without the trial.
  const fitting = [...answers].filter(([, said]) => !isTried || said.every(({ trials }) => trials !== undefined))
  const queues = new Map(fitting.map(([node, said]) => [node, [...said]]))
  return {
    answered: flows.map(({ way }) => way.legs.map(({ node }) => queues.get(node)?.shift())),
    heard: fitting.map(([node]) => node),
    silent: [...silent].map(([node, because]) => ({ node, because })),
  }
}

function packetOf({ family, protocol, sourcePort, port, icmp }: FlowQuestion) {
  return { family, protocol, ...(port === undefined ? {} : { sourcePort, port }), ...(icmp === undefined ? {} : { icmp }) }
}

/** Hosts follow resources only: a revision that a lease or a question made they never reach. */
function revisionOf(view: MutableView): number {
  return view.entries().reduce((most, { key, modRevision }) => (key.startsWith(RESOURCES_PREFIX) ? Math.max(most, modRevision) : most), 0)
}
