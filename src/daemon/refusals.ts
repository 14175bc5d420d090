import { describeError } from '../errors.ts'
import type { FailureReport, PeerReport } from '../model/own/api.ts'
import type { About } from '../model/own/ask.ts'
import { isTriable } from '../model/own/trial.ts'
import type { Merger } from '../reconcile/merge.ts'
import { type Failure, LinkMissing } from '../reconcile/reconciler.ts'
import { isConsequence } from './refused-rules.ts'

/** Reasons beyond these are counted: a host with thousands of peers may have thousands. */
const MOST_REASONS = 10

/** The interfaces of workloads of this host, and to which interface a route leads: its key does not say. */
export interface WorkloadLinks {
  /** The endpoint of each, `namespace/name`. */
  readonly links: ReadonlyMap<string, string>
  linkOfRoute(key: string): string | undefined
}

/** What was refused that concerns the whole host, in words; what only waits for a link that is named here is no reason of its own. */
export function hostReasons(failures: readonly Failure[], rules: ReadonlyMap<string, string>, workloads: WorkloadLinks): readonly string[] {
  const own = failures.filter((failure) => !isOfWorkload(failure, workloads) && !isWaiting(failure))
  const shown = own.slice(0, MOST_REASONS).map(({ table, key, error }) => {
    const affected = table === 'policy' ? rules.get(key) : ''
    return `${table} ${key}: ${describeError(error)}${affected ? ` (${affected})` : ''}`
  })
  return own.length > MOST_REASONS ? [...shown, `${own.length - MOST_REASONS} more of this kind`] : shown
}

/** What was refused, by table and key. What waits for a link says only that: the link's own entry has the reason. */
export function describeFailures(failures: readonly Failure[]): readonly FailureReport[] {
  return failures.map((failure) => {
    const { table, key, error } = failure
    return { table, key, reason: isWaiting(failure) ? error.message : describeError(error) }
  })
}

/** What the kernel refuses: what a change concerns, and how much else. */
export interface Concerned {
  readonly own: readonly FailureReport[]
  readonly others: number
}

/**
 * Of what was refused, what somebody waits for who has made this change: a workload's interface that is not there is no fault of a policy,
 * and a tunnel that can't be made none either. Rules may be made of anything.
 */
export function concernedFailures(failures: readonly Failure[], about: About | undefined, workloads: WorkloadLinks): Concerned {
  const own = failures.filter((failure) => {
    if (about === undefined || failure.table === 'policy') return true
    if (!isOfWorkload(failure, workloads)) return !about.kinds.every(isOfRules)
    return linksOf(failure, workloads).some((link) => about.endpoints.includes(workloads.links.get(link) ?? ''))
  })
  return { own: describeFailures(own), others: failures.length - own.length }
}

/** Whether resources of this kind become rules of the packet filter, and nothing else. */
function isOfRules(kind: string): boolean {
  return isTriable(kind) || kind === 'Service'
}

/** Whether it only waits for something that is named itself. */
function isWaiting(failure: Failure): boolean {
  return failure.error instanceof LinkMissing || isConsequence(failure)
}

/** Peers as they were planned, but for those whose tunnel, neighbour entry or route the kernel refused: they are not reachable. */
export function withRefusals(peers: readonly PeerReport[], failures: readonly Failure[], merger: Merger): readonly PeerReport[] {
  if (failures.length === 0) return peers
  const reasons = reasonsByWay(failures, merger)
  return peers.map((peer) => {
    const { tunnel = '', nextHop = '' } = peer
    const reason = reasons.get(`link ${tunnel}`) ?? reasons.get(`neighbour ${tunnel} ${nextHop}`) ?? reasons.get(`via ${nextHop}`)
    return reason === undefined || !peer.isReachable ? peer : { ...peer, isReachable: false, reason }
  })
}

function reasonsByWay(failures: readonly Failure[], merger: Merger): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>()
  for (const { table, key, error } of failures) {
    const reason = describeError(error)
    if (table === 'links') reasons.set(`link ${key}`, reason)
    if (table === 'neighbours') reasons.set(`neighbour ${key}`, reason)
    const nextHop = table === 'routes' ? merger.tables.routes.get(key)?.nextHop : undefined
    if (nextHop !== undefined) reasons.set(`via ${nextHop}`, reason)
  }
  return reasons
}

/** What is refused for one workload is that workload's trouble, not the host's: its interface may be another program's, and not there. */
function isOfWorkload(failure: Failure, workloads: WorkloadLinks): boolean {
  const isOwn = (link: string) => workloads.links.has(link) || /^mgy[0-9a-f]{11}$/.test(link)
  return failure.table !== 'policy' && linksOf(failure, workloads).some(isOwn)
}

/** What may be the name of an interface in what was refused. */
function linksOf({ table, key }: Failure, { linkOfRoute }: WorkloadLinks): readonly string[] {
  return table === 'routes' ? [linkOfRoute(key) ?? ''] : key.split(/[ /]/)
}
