import type { Tier } from '../model/tier.ts'
import { type SelectorSet, selectorSet } from './address-set.ts'
import { LabelIndex } from './label-index.ts'
import type { Labelled } from './labelled.ts'
import type { Policy } from './policies.ts'
import { contentName } from './set-names.ts'
import { orderPolicies, type TierPolicies } from './tiers.ts'

/** A policy with the set of what it selects. */
interface Known {
  readonly policy: Policy
  readonly set: SelectorSet
}

/** What endpoints that match the same selectors have in common; it is known as long as there is one. */
interface Group {
  readonly key: string
  readonly selectors: ReadonlySet<string>
  endpoints: number
  /** Undefined: something about their policies changed since it was last asked for. */
  tiers: readonly TierPolicies[] | undefined
}

/**
 * Which policies apply to each endpoint of this host, in their order. What is told is worked in by `flush`, at the cost of what changed:
 * endpoints are the members of an index of the policies' selectors.
 */
export class PolicySelection {
  readonly #index = new LabelIndex()
  readonly #policies = new Map<string, Known>()
  /** The policies of each selector in use: many share one. */
  readonly #bySelector = new Map<string, Set<Known>>()
  readonly #tiers = new Map<string, Tier>()
  readonly #endpoints = new Set<string>()
  /** The selectors that each endpoint matches. */
  readonly #matched = new Map<string, Set<string>>()
  /** The group of each endpoint since somebody last asked for its policies, and all groups by their selectors. */
  readonly #groupOf = new Map<string, Group>()
  readonly #groups = new Map<string, Group>()
  readonly #changed = new Set<string>()

  /** Takes note of an endpoint of this host; undefined: it is gone. */
  setEndpoint(id: string, given: Labelled | undefined): void {
    // Its members are endpoints, not addresses.
    this.#index.set(id, given && { ...given, addresses: [id as never], ports: [] })
    this.#regroup(id)
    if (given === undefined) this.#endpoints.delete(id)
    else this.#endpoints.add(id)
  }

  /** Takes note of the labels that a profile gives; undefined: it is gone. */
  setProfile(name: string, labels: Readonly<Record<string, string>> | undefined): void {
    this.#index.setProfile(name, labels)
  }

  /** The policy under this key. */
  policy(key: string): Policy | undefined {
    return this.#policies.get(key)?.policy
  }

  /** Takes note of a policy under its key; undefined: it is gone. */
  setPolicy(key: string, policy: Policy | undefined): void {
    const before = this.#policies.get(key)
    const known = policy && { policy, set: selectorSet(policy.selector) }
    // The new one is first: a selector that both have stays in use.
    if (known) this.#remember(key, known)
    else this.#policies.delete(key)
    if (before) this.#forget(before)
  }

  /** Takes note of a tier; undefined: it is gone, and policies that name it come last. */
  setTier(name: string, tier: Tier | undefined): void {
    if (tier === undefined) this.#tiers.delete(name)
    else this.#tiers.set(name, tier)
    for (const { policy, set } of this.#policies.values()) if (policy.tier === name) this.#touch(set.id)
  }

  /** Works in all that was told; resumes where the caller left it at a `yield`. */
  *flush(): Generator<undefined, void> {
    yield* this.#index.flush()
    for (const [id, { added, removed }] of this.#index.takeChanges()) {
      for (const endpoint of added) this.#matchedBy(endpoint).add(id)
      for (const endpoint of removed) this.#matchedBy(endpoint).delete(id)
      for (const endpoint of [...added, ...removed]) this.#regroup(endpoint)
    }
  }

  /** The endpoints of which policies, or their order, may have changed since the last time, those that are gone too. */
  takeChanges(): ReadonlySet<string> {
    const changed = new Set(this.#changed)
    this.#changed.clear()
    for (const id of changed) if (!this.#endpoints.has(id)) this.#matched.delete(id)
    return changed
  }

  /**
   * The policies that apply to an endpoint, as of the last `flush`, tier by tier; the same object until they change, and for all
   * endpoints that match the same selectors.
   */
  policiesOf(endpoint: string): readonly TierPolicies[] {
    const group = this.#groupOf.get(endpoint) ?? this.#join(endpoint)
    group.tiers ??= orderPolicies(this.#policiesBy(group.selectors), this.#tiers)
    return group.tiers
  }

  *#policiesBy(selectors: ReadonlySet<string>): Generator<Policy> {
    for (const id of selectors) for (const { policy } of this.#bySelector.get(id) ?? []) yield policy
  }

  #join(endpoint: string): Group {
    const selectors = this.#matched.get(endpoint) ?? new Set()
    const key = contentName('', [...selectors].sort().join())
    const group = this.#groups.get(key) ?? { key, selectors: new Set(selectors), endpoints: 0, tiers: undefined }
    group.endpoints++
    this.#groups.set(key, group)
    this.#groupOf.set(endpoint, group)
    return group
  }

  #remember(key: string, known: Known): void {
    this.#policies.set(key, known)
    const siblings = this.#bySelector.get(known.set.id)
    if (siblings) {
      siblings.add(known)
      this.#touch(known.set.id)
    } else {
      this.#bySelector.set(known.set.id, new Set([known]))
      this.#index.activate(known.set)
    }
  }

  #forget(known: Known): void {
    const { set } = known
    this.#touch(set.id)
    const siblings = this.#bySelector.get(set.id)
    siblings?.delete(known)
    if (siblings?.size !== 0) return
    for (const endpoint of this.#index.members(set.id)) {
      this.#matched.get(endpoint)?.delete(set.id)
      this.#regroup(endpoint)
    }
    this.#bySelector.delete(set.id)
    this.#index.deactivate(set)
  }

  #matchedBy(endpoint: string): Set<string> {
    const known = this.#matched.get(endpoint) ?? new Set()
    this.#matched.set(endpoint, known)
    return known
  }

  #touch(set: string): void {
    for (const endpoint of this.#index.members(set)) {
      const group = this.#groupOf.get(endpoint)
      if (group) group.tiers = undefined
      this.#changed.add(endpoint)
    }
  }

  /** What the endpoint matches may be otherwise. */
  #regroup(endpoint: string): void {
    const group = this.#groupOf.get(endpoint)
    this.#groupOf.delete(endpoint)
    if (group && --group.endpoints === 0) this.#groups.delete(group.key)
    this.#changed.add(endpoint)
  }
}
