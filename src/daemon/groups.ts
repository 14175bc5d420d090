import { peerOf } from '../encap/peer.ts'
import type { ModelKind } from '../model/kinds.ts'
import type { Change, View } from '../store/view.ts'
import { type Facts, factKey } from './facts.ts'
import { createContext, type PlanContext, renewContext } from './plan-context.ts'

/**
 * The groups by which planning works, each a part of what is wanted in the kernel:
 * `frame` `devices` `nat` `forwarding` `peer/<node>` `block/<cidr>` `endpoint/<namespace>/<name>`.
 */
export type GroupId = string

/** The groups that stand whatever the view holds. */
const STANDING: readonly GroupId[] = ['frame', 'devices', 'nat', 'forwarding']

/** Every group that a fresh plan of the context's view has. */
export function allGroups({ view, facts, endpoints }: PlanContext): ReadonlySet<GroupId> {
  if (!facts.isNetworkingEnabled) return new Set(['frame'])
  const groups = new Set(STANDING)
  for (const node of view.get('Node').keys()) if (node !== facts.node) groups.add(`peer/${node}`)
  for (const cidr of view.get('IPAMBlock').keys()) groups.add(`block/${cidr}`)
  for (const id of endpoints) groups.add(`endpoint/${id}`)
  return groups
}

/** The groups that a changed key makes, changes or ends by itself; readers of the key come beside them. */
export function groupsOf(change: Change, { view, facts, endpoints }: PlanContext): readonly GroupId[] {
  if (!facts.isNetworkingEnabled && change.kind !== 'WorkloadEndpoint') return []
  switch (change.kind) {
    case 'Node':
      return change.id === facts.node ? [] : [`peer/${change.id}`]
    case 'IPAMBlock':
      return [`block/${change.id}`]
    case 'WorkloadEndpoint': {
      const isOurs = view.get('WorkloadEndpoint').get(change.id)?.spec.node === facts.node
      if (!isOurs && !endpoints.has(change.id)) return []
      return facts.isNetworkingEnabled ? [`endpoint/${change.id}`, 'forwarding', 'frame'] : ['frame']
    }
    default:
      return []
  }
}

/** The key under which a group reads something of the view. */
export function viewKey(kind: ModelKind, id: string): string {
  return `${kind}/${id}`
}

/** What changed means for planning. */
export interface Advance {
  readonly context: PlanContext
  /** Everything must be planned again: `allGroups`, and no others. */
  readonly isFull: boolean
  /** Groups to plan again, and beside them the readers of `keys`. Without meaning when `isFull`. */
  readonly groups: ReadonlySet<GroupId>
  readonly keys: ReadonlySet<string>
}

/**
 * The context after a step of the follower or a change of facts, with what must be planned again. It costs what changed, not what
 * exists, but where something changed on which all depends.
 */
export function advance(before: PlanContext | undefined, view: View, changes: readonly Change[], facts: Facts): Advance {
  if (before === undefined) return { context: createContext(view, facts), isFull: true, groups: new Set(), keys: new Set() }
  const groups = new Set<GroupId>()
  const keys = new Set<string>()
  for (const change of changes) {
    for (const group of groupsOf(change, { ...before, view })) groups.add(group)
    keys.add(viewKey(change.kind, change.id))
    remember(before, view, change, groups, keys)
  }
  const ofFacts = changedFacts(before.facts, facts)
  const isFull = ofFacts === undefined || changes.some((change) => concernsAll(change, facts.node))
  for (const key of ofFacts ?? []) keys.add(key)
  const context = isFull ? renewContext(before, view, facts) : { ...before, view, facts }
  return { context, isFull, groups, keys }
}

/** Whether every group may depend on it. Other hosts' own settings don't matter here: there is one of them for each host that joins. */
function concernsAll({ kind, id }: Change, node: string): boolean {
  if (kind === 'FelixConfiguration') return id === `node.${node}` || !id.startsWith('node.')
  if (kind === 'BGPConfiguration') return id === `node.${node}` || !id.startsWith('node.')
  return kind === 'IPPool' || kind === 'BGPPeer' || (kind === 'Node' && id === node)
}

/** Keeps the context's memory up; adds the keys and groups of those whom the change touches through it. */
function remember(context: PlanContext, view: View, change: Change, groups: Set<GroupId>, keys: Set<string>): void {
  const { vteps, endpoints, senders, facts } = context
  if (change.kind === 'Node') {
    const node = view.get('Node').get(change.id)
    const { affected, areHostsChanged } = vteps.set(change.id, node === undefined ? undefined : peerOf(node))
    for (const other of affected) keys.add(viewKey('Node', other))
    if (areHostsChanged) groups.add('frame')
  } else if (change.kind === 'WorkloadEndpoint') {
    const endpoint = view.get('WorkloadEndpoint').get(change.id)
    const isOurs = endpoint?.spec.node === facts.node
    if (isOurs) endpoints.add(change.id)
    else endpoints.delete(change.id)
    senders.set(change.id, isOurs ? endpoint : undefined)
  }
}

/** The keys of facts that changed alone; undefined when something changed on which all depends. */
function changedFacts(before: Facts, after: Facts): readonly string[] | undefined {
  if (before === after) return []
  // Only the rules of endpoints are made of interfaces and of what is tried (policy-part).
  const { netns: netnsBefore, timedOut: timedOutBefore, interfaces: _before, trial: _trialBefore, ...restBefore } = before
  const { netns, timedOut, interfaces: _after, trial: _trialAfter, ...rest } = after
  if (JSON.stringify(restBefore) !== JSON.stringify(rest)) return undefined
  const endpoints = [...new Set([...netnsBefore.keys(), ...netns.keys()])].filter((id) => netnsBefore.get(id) !== netns.get(id))
  const pairs = [...new Set([...timedOutBefore, ...timedOut])].filter((pair) => timedOutBefore.has(pair) !== timedOut.has(pair))
  return [...endpoints.map(factKey.netns), ...pairs.map((pair) => factKey.timedOut(pair))]
}
