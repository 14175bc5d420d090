import type { Ip } from '../../net/ip.ts'
import type { RuleAction } from '../rule.ts'

/** What became of a packet. `staged-…`: what a staged policy would have done, had it been asked alone. */
export type FlowVerdict = 'allow' | 'deny' | 'log' | 'staged-allow' | 'staged-deny' | 'staged-pass'

/**
 * What decided: a rule of a policy or a profile (`rule` counts from 0), the end of a tier, that nothing allowed the packet,
 * defaultEndpointToHostAction, that the endpoint's profile does not exist, or that the endpoint is closed, because a resource that would
 * have governed it can't be read (it is named if it is a policy).
 */
export interface Decider {
  readonly by: 'policy' | 'profile' | 'tier' | 'end' | 'endpoint-to-host' | 'missing-profile' | 'closed'
  /** Of a policy or a profile, also of one that does not exist or can't be read. */
  readonly kind?: string
  readonly namespace?: string
  readonly name?: string
  readonly tier?: string
  readonly rule?: number
  readonly action: RuleAction
}

/** A packet that a rule told of. */
export interface FlowEvent {
  readonly type: 'flow'
  /** RFC 3339. */
  readonly time: string
  readonly verdict: FlowVerdict
  /** Seen from the endpoint. */
  readonly direction: 'ingress' | 'egress'
  /** `<namespace>/<name>` of a workload, the name of a host endpoint; absent where it is gone already. */
  readonly endpoint?: string
  readonly endpointKind?: 'WorkloadEndpoint' | 'HostEndpoint'
  /** The endpoint's, on the host. */
  readonly interface?: string
  readonly decider: Decider
  /** FelixConfiguration.logPrefix with its placeholders filled in, of what the action Log tells. */
  readonly prefix?: string
  /** `TCP`, or a number that has no name. */
  readonly protocol: string
  readonly source: Ip
  readonly sourcePort?: number
  readonly destination: Ip
  readonly destinationPort?: number
  readonly icmp?: { readonly type: number; readonly code: number }
  /** Of the packet. */
  readonly lengthBytes: number
}

/** An open connection that was ended, because a change of policy denies it. */
export interface EndedEvent {
  readonly type: 'ended'
  readonly time: string
  /** Seen from the endpoint that denies it; absent where none does. */
  readonly direction?: 'ingress' | 'egress'
  readonly endpoint?: string
  readonly endpointKind?: 'WorkloadEndpoint' | 'HostEndpoint'
  /** What denies it now; absent where it is no policy, profile or tier. */
  readonly decider?: Decider
  /** The same in words: `GlobalNetworkPolicy no-web ingress rule 2`. */
  readonly by: string
  readonly protocol: string
  /** Of the packet that opened it. */
  readonly source: Ip
  readonly sourcePort?: number
  readonly destination: Ip
  readonly destinationPort?: number
  readonly icmp?: { readonly type: number; readonly code: number }
}

/** How many more connections a change has ended than are told of one by one. */
export interface EndedMoreEvent {
  readonly type: 'ended-more'
  readonly time: string
  readonly flows: number
}

/** Packets of which nothing is told one by one: more came than the rule's limit lets through. Known from its counter. */
export interface SuppressedEvent {
  readonly type: 'suppressed'
  readonly time: string
  readonly verdict: FlowVerdict
  readonly direction: 'ingress' | 'egress'
  readonly decider: Decider
  readonly packets: number
}

/** Events got lost on their way: in the kernel, because there were too many, or because the reader was too slow. */
export interface LostEvent {
  readonly type: 'lost'
  readonly time: string
  readonly where: 'kernel' | 'reader'
  /** As far as it is known. */
  readonly events?: number
}

/** One line of `GET /v1/flows`. */
export type FlowLine = FlowEvent | EndedEvent | EndedMoreEvent | SuppressedEvent | LostEvent

/** What a rule has counted on this host since its counter was made; established connections are not seen by rules. */
export interface RuleCount {
  readonly direction: 'ingress' | 'egress'
  readonly decider: Decider
  readonly isStaged: boolean
  readonly packets: number
  readonly bytes: number
}

/** The answer of `GET /v1/policy/stats`. */
export interface StatsReport {
  readonly node: string
  /** In the order in which they are asked: tiers, policies, rules, ends of tiers, profiles, the end. */
  readonly rules: readonly RuleCount[]
}

/** How telling of flows stands, in status. */
export interface FlowsReport {
  /** Why nothing is told; absent while it is. */
  readonly problem?: string
  /** Packets that were denied in the last minute, as the counters say. */
  readonly deniedLastMinute?: number
  /** The latest one that was told of. */
  readonly lastDenied?: FlowEvent
  /** Events that got lost since the start. */
  readonly lost: number
}
