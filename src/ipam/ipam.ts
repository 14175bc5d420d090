import type { Logger } from '../log.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Store } from '../store/store.ts'
import { autoAssign } from './assign.ts'
import { type AssignIpRequest, assignIp } from './assign-ip.ts'
import type { Holder } from './block.ts'
import type { Assignment } from './block-writes.ts'
import { type CheckResult, checkIpam } from './check.ts'
import type { Change, IpamContext, IpamCounters } from './context.ts'
import type { CheckedAllocation, Repair } from './findings.ts'
import type { IpamSurvey } from './ipam-survey.ts'
import { releaseLeaks } from './leaks.ts'
import { type AddressUse, type Held, heldBy, lookUp } from './queries.ts'
import { readIpamSurvey } from './read-survey.ts'
import { type ReleaseOutcome, type ReleaseRequest, releaseByHandle, releaseHolder, releaseIps } from './release.ts'
import { type BlockReleases, releaseHostAffinities, releasePoolAffinities, removeHost } from './release-blocks.ts'
import { type RepairOutcome, repairAll } from './repair.ts'
import type { AssignRequest } from './run.ts'
import { Serial } from './serial.ts'
import { forgetSticky } from './sticky.ts'
import { ensureTunnelAddress, releaseTunnelAddress } from './tunnel-address.ts'
import { readUsage, type Usage } from './usage.ts'
import { surveyWith, type WatchedView } from './view-survey.ts'

/**
 * Address management for one host. What changes something is done one after the other; hosts and processes are safe from each
 * other by compare-and-swap. Every call reads the rules anew and throws IpamError, or StoreError when the store is away.
 */
export interface Ipam {
  /** Addresses from the pools: all that are asked for, or none. */
  autoAssign(request: AssignRequest, signal: AbortSignal): Promise<readonly Assignment[]>
  /** This address. */
  assignIp(request: AssignIpRequest, signal: AbortSignal): Promise<Assignment>
  releaseIps(requests: readonly ReleaseRequest[], signal: AbortSignal): Promise<ReleaseOutcome>
  /** Everything that a handle holds; gives the addresses. */
  releaseByHandle(handleId: string, signal: AbortSignal): Promise<readonly Ip[]>
  /**
   * What a handle holds for this very holder (these attributes, this host), when another host's workload may have the same handle.
   * A holder that may return gets it again for a while, if it is free and asks with `keepHeld`.
   */
  releaseHolder(holder: Holder, options: { readonly mayReturn: boolean }, signal: AbortSignal): Promise<readonly Ip[]>
  /** What a handle holds. */
  heldBy(handleId: string, signal: AbortSignal): Promise<readonly Held[]>
  /** Who has an address. */
  lookUp(ip: Ip, signal: AbortSignal): Promise<AddressUse>
  /** The VXLAN address of this host, for its Node; undefined: none is needed, and what was there is released. */
  ensureTunnelAddress(tunnel: { readonly family: Family; readonly current: Ip | undefined }, signal: AbortSignal): Promise<Ip | undefined>
  releaseTunnelAddress(family: Family, signal: AbortSignal): Promise<void>
  /** The blocks of a host, this one or another. */
  releaseHostAffinities(host: string, options: { readonly mustBeEmpty: boolean }, signal: AbortSignal): Promise<BlockReleases>
  /** The blocks of a pool that is to be deleted, and was disabled before. */
  releasePoolAffinities(pool: Cidr, signal: AbortSignal): Promise<BlockReleases>
  /** Addresses of a host that is deleted and that nothing uses, whoever gave them out; gives how many. */
  releaseLeaks(host: string, signal: AbortSignal): Promise<number>
  /** Tunnel addresses and blocks of a host that is deleted. */
  removeHost(host: string, signal: AbortSignal): Promise<BlockReleases>
  usage(signal: AbortSignal): Promise<Usage>
  /** Compares who uses addresses with what is allocated. Reads everything, so it is nothing to do often. */
  check(signal: AbortSignal, onAllocation?: (allocation: CheckedAllocation) => void): Promise<CheckResult>
  /** What a check would look at, of this host or of all, from the view and the few records that no view has. May be a moment old. */
  surveyWith(view: WatchedView, scope: 'host' | 'all', signal: AbortSignal): Promise<IpamSurvey>
  /** Removes what is remembered too long of workloads that were removed, by this host or by all. */
  forgetSticky(scope: 'host' | 'all', signal: AbortSignal): Promise<void>
  /** Gives back what a check found, where it still is as it was found and each fence holds. */
  repair(repairs: readonly Repair[], fences: readonly Change[], signal: AbortSignal): Promise<RepairOutcome>
  readonly counters: Readonly<IpamCounters>
}

/** Address management in a store, for this node. */
export function createIpam(options: {
  readonly store: Store
  readonly node: string
  readonly log: Logger
  readonly now?: () => Date
  readonly stickySeconds?: () => number
}): Ipam {
  const { store, node, log, now = () => new Date(), stickySeconds = () => 0 } = options
  const counters = { commits: 0, conflicts: 0 }
  const context: IpamContext = { store, node, log, now, stickySeconds, counters, lastBlock: new Map() }
  const serial = new Serial()
  /** The operation, made to wait its turn. */
  function inTurn<A extends readonly unknown[], R>(operation: (context: IpamContext, ...rest: [...A, AbortSignal]) => Promise<R>) {
    return (...rest: [...A, AbortSignal]): Promise<R> => serial.run(() => operation(context, ...rest), rest[rest.length - 1] as AbortSignal)
  }
  return {
    autoAssign: inTurn(autoAssign),
    assignIp: inTurn(assignIp),
    releaseIps: inTurn(releaseIps),
    releaseByHandle: inTurn(releaseByHandle),
    releaseHolder: inTurn(releaseHolder),
    heldBy: (handleId, signal) => heldBy(context, handleId, signal),
    lookUp: (ip, signal) => lookUp(context, ip, signal),
    ensureTunnelAddress: inTurn(ensureTunnelAddress),
    releaseTunnelAddress: inTurn(releaseTunnelAddress),
    releaseHostAffinities: inTurn(releaseHostAffinities),
    releasePoolAffinities: inTurn(releasePoolAffinities),
    releaseLeaks: inTurn(releaseLeaks),
    removeHost: inTurn(removeHost),
    usage: (signal) => readUsage(context, signal),
    check: async (signal, onAllocation) => checkIpam(await readIpamSurvey(context, signal), onAllocation),
    surveyWith: (view, scope, signal) => surveyWith(context, view, scope, signal),
    forgetSticky: (scope, signal) => forgetSticky(context, scope, signal),
    repair: inTurn(repairAll),
    counters: context.counters,
  }
}
