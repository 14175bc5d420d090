import type { Underlay } from '../encap/driver.ts'
import type { TrialOverlay } from '../policy/generations.ts'
import type { HostInterface } from '../policy/host-endpoints.ts'
import type { EtcdUse } from '../policy/implicit.ts'

/** What planning knows of this host beside the store's content. A value: whoever finds that a fact changed gives a new one. */
export interface Facts {
  readonly node: string
  /** `networking.enabled`: without it there are no pools, tunnels, forwarding or workloads here, only policy. */
  readonly isNetworkingEnabled: boolean
  /** By family; absent where this host has none. */
  readonly underlay: { readonly 4?: Underlay; readonly 6?: Underlay }
  /** Whether this host forwarded before margay turned it on: then it goes on to forward everything, else only what is ours. */
  readonly hostForwardedBefore: boolean
  readonly capabilities: { readonly hasIpv6: boolean }
  /** Pinned network namespaces of attached endpoints, by endpoint id (`<namespace>/<name of the WorkloadEndpoint>`). */
  readonly netns: ReadonlyMap<string, string>
  /** Interfaces that are not ours, with their addresses: what host endpoints may be of. They change alone. */
  readonly interfaces: readonly HostInterface[]
  /** Interfaces that are not ours and have accept_ra 1 or 2. */
  readonly advertisedLinks: readonly string[]
  /** Uplinks on which the kernel checks sources: their rp_filter, or that of `all`, is not 0. */
  readonly filteredUplinks: readonly string[]
  /** Pairs `<peer> <pool>` that were waited for too long in a switch of the pool's mode. */
  readonly timedOut: ReadonlySet<string>
  /** Where etcd is, so that rules let it through; absent: not known. */
  readonly etcd?: EtcdUse
  /** What is tried of policy, laid over the view; another object when it is something else. It changes alone. */
  readonly trial?: TrialOverlay | undefined
  /** A pool's mode was changed a short while ago: what receives the old way stays. */
  readonly isSettling: boolean
}

/** A peer and a pool in one word, as in `Facts.timedOut`. */
export function switchPair(peer: string, pool: string): string {
  return `${peer} ${pool}`
}

/** The keys under which groups read facts that change alone, so that `Memo.readersOf` finds them. */
export const factKey = {
  netns: (endpoint: string) => `fact/netns/${endpoint}`,
  timedOut: (pair: string) => `fact/timed-out/${pair}`,
}
