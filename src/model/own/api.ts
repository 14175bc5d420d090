import type { FlowsReport } from './flows.ts'

/**
 * The daemon's API on its unix socket: HTTP/1.1 with JSON bodies. Both the daemon and the command line import these shapes.
 *
 * | request | answer |
 * |---|---|
 * | `GET /v1/status` | StatusReport |
 * | `GET /v1/desired` | TableDump: what is wanted in the kernel |
 * | `GET /v1/diff` | DiffReport: fresh list of the kernel against what is wanted |
 * | `GET /v1/workloads` | WorkloadReport[] |
 * | `GET /v1/workloads/NAMESPACE/NAME` | WorkloadReport, or 404 |
 * | `POST /v1/workloads` | AttachRequest in, WorkloadReport out when it is applied |
 * | `DELETE /v1/workloads/NAMESPACE/NAME` | 204 when it is gone, 404 if there was none |
 * | `POST /v1/observe` | ObserveRequest in, ObservedReport out when its time is over (model/own/observed) |
 * | `POST /v1/audit/exposed` | ExposedRequest in, ExposedReport out (model/own/exposed) |
 * | `POST /v1/reload` | 204 when the configuration was read again, 400 with why not |
 * | `GET /v1/flows?follow=true` | JSON lines, FlowLine each: the latest 2,000, or each new one |
 * | `GET /v1/policy/stats` | StatsReport: what every rule has counted on this host |
 * | `GET /v1/debug/passes` | PassReport[]: the first pass since the start, then the latest 1,000, oldest first |
 * | `GET /v1/debug/record?seconds=N` | JSON lines (application/x-ndjson), see daemon/record |
 *
 * Errors are `{ "error": { "code", "message" } }` with status 400 (bad request), 404, 409 (conflict), 503 (etcd or a pass failed) or 500.
 */
export interface ApiError {
  readonly error: { readonly code: string; readonly message: string }
}

/** One object of one table that the kernel refused, or a clash of two owners. */
export interface FailureReport {
  readonly table: string
  readonly key: string
  readonly reason: string
}

/** One peer, as status shows it; computed when asked, never remembered. */
export interface PeerReport {
  readonly node: string
  readonly underlay: readonly string[]
  readonly family: 4 | 6
  /** `direct`, `vxlan` or `none`. */
  readonly mode: string
  /** The tunnel device, where there is one. */
  readonly tunnel?: string
  readonly nextHop?: string
  readonly mtuBytes?: number
  readonly blocks: number
  /** RFC 3339; absent if it was never seen alive by this daemon. */
  readonly lastSeen?: string
  readonly isAlive: boolean
  readonly isReachable: boolean
  /** Why not reachable, or what is waited for. */
  readonly reason?: string
}

/** What `margay status` shows. */
export interface StatusReport {
  readonly node: string
  readonly version: string
  readonly mode: { readonly configured: string; readonly pools: string; readonly isDifferent: boolean }
  readonly isReady: boolean
  /** Why not ready, in words; empty when ready. */
  readonly notReady: readonly string[]
  readonly store: {
    readonly endpoints: readonly string[]
    readonly isConnected: boolean
    readonly reason?: string
    readonly isFromSavedView: boolean
  }
  readonly revision: number
  readonly appliedRevision: number
  readonly addresses: readonly string[]
  readonly tunnelAddresses: readonly string[]
  readonly mtuBytes: number
  readonly peers: readonly PeerReport[]
  readonly workloads: number
  readonly policy?: PolicyReport
  readonly failures: readonly FailureReport[]
  /** Kernel objects of ours that somebody changed or removed and that were put right, since the start. */
  readonly repairs: number
  /** How late the event loop came to its timers, 99.9th percentile since the start, in milliseconds (perf_hooks.monitorEventLoopDelay). */
  readonly loopDelayP999Ms?: number
  readonly warnings: readonly string[]
  readonly flows?: FlowsReport
  /** Failsafe ports (`tcp 22`) that no network narrows, on a host with host endpoints: no policy closes them. */
  readonly openFailsafes?: { readonly inbound: readonly string[]; readonly outbound: readonly string[] }
  readonly collector?: CollectorReport
  readonly revocation?: RevocationReport
  /** What is tried on this host now. */
  readonly trials?: readonly TrialReport[]
}

/** How much policy applies to endpoints of this host. */
export interface PolicyReport {
  /** That are for some endpoint of the host, staged ones too. */
  readonly policies: number
  readonly staged: number
  readonly tiers: number
  /** That some policy is for. */
  readonly workloads: number
  /** By the interfaces for which they are; `*`: all that have none of their own. Policies in the order in which they are asked. */
  readonly hostEndpoints: readonly { readonly name: string; readonly interface: string; readonly policies: readonly string[] }[]
  /** All rules of the table in the kernel. */
  readonly rules: number
}

/** How the ending of flows that policy does not allow any more stands on this host. */
export interface RevocationReport {
  /** `policy.revokeEstablished`. */
  readonly isWanted: boolean
  /** How many flows were ended since the start, by what denies them: `GlobalNetworkPolicy no-web ingress rule 2`. */
  readonly ended: Readonly<Record<string, number>>
  /** Flows that go on although a host endpoint denies them: they were there before it. */
  readonly tolerated: number
  /** Ended flows whose last packets may still be on their way. */
  readonly remembered: number
  /** While a change is on trial: how many flows would end with it. */
  readonly wouldEnd?: number
  /** How long judging and ending took the last time. */
  readonly lastMs?: number
  /** Why flows could not be judged or ended the last time. */
  readonly problem?: string
}

/** A change of policy that this host tries. */
export interface TrialReport {
  readonly id: string
  /** Who asked for it. */
  readonly by: string
  /** Until the policy that was returns. */
  readonly leftSeconds: number
  /** `waiting`: etcd has not said yet how long it lasts. */
  readonly state: 'running' | 'refused' | 'waiting'
  /** Why it was refused. */
  readonly reasons: readonly string[]
  readonly changes: readonly string[]
}

/** How the collecting of addresses that nobody uses any more stands on this host. */
export interface CollectorReport {
  /** `on`, `dry-run` or `off`. */
  readonly mode: string
  /** This host collects for hosts that are gone. */
  readonly isLeading: boolean
  /** Which host leads, as far as this one has seen. */
  readonly leader?: string
  /** Found unused, and not long enough yet to be collected. */
  readonly waiting: number
  /** Since the start. */
  readonly collected: { readonly addresses: number; readonly blocks: number; readonly handles: number }
  /** RFC 3339. */
  readonly lastScan?: string
  readonly scanMs?: number
  /** Why the last scan failed. */
  readonly problem?: string
}

/** How long one pass of the loop took. */
export interface PassReport {
  /** The store's revision that it applied. */
  readonly revision: number
  /** Changed keys of the store; 0 for a pass that only the kernel's events or a timer called for. */
  readonly changes: number
  readonly passMs: number
  /** From the follower's notice of the oldest change in it to the kernel's last acknowledgement. */
  readonly sinceNoticeMs: number
}

/** Objects by table and key, as JSON. */
export type TableDump = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** What is wanted and not there, there and not wanted, or different. */
export interface DiffReport {
  readonly differences: readonly { readonly table: string; readonly key: string; readonly want?: unknown; readonly have?: unknown }[]
}

/** Attaches a network namespace as a workload of this host. Exactly one of `netns` and `pid`. */
export interface AttachRequest {
  readonly name: string
  readonly namespace: string
  readonly netns?: string
  readonly pid?: number
  /** Requested addresses; without, one of each family that has a pool. */
  readonly ips?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** Names of the pools to take automatic addresses from. */
  readonly pools?: readonly string[]
}

/** A workload of this host. */
export interface WorkloadReport {
  readonly name: string
  readonly namespace: string
  readonly orchestrator: string
  readonly addresses: readonly string[]
  readonly interface: string
  readonly labels: Readonly<Record<string, string>>
  /** The path under which its network namespace was given, where this host attached it. */
  readonly netns?: string
  /** `up`, or why not. */
  readonly state: string
}
