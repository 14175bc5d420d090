import { describeError } from '../errors.ts'
import type { NftObject } from '../kernel/objects.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Profile } from '../model/profile.ts'
import type { Tier } from '../model/tier.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import type { DispatchSettings, Ruleset } from './dispatch.ts'
import { planDispatch } from './dispatch.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { type HostInterface, planHostEndpoints } from './host-endpoints.ts'
import { LabelIndex } from './label-index.ts'
import { type Labelled, type LabelledTypes, labelledOf } from './labelled.ts'
import { ListCompiler } from './lists.ts'
import type { ServicePort } from './members.ts'
import { type PolicyResource, readPolicy } from './policies.ts'
import { type ProfileRules, readProfile } from './profiles.ts'
import { PolicySelection } from './select.ts'
import type { Shape } from './set-names.ts'
import { SetContent } from './sets.ts'

/** A resource that decides about packets. */
export type PolicyInput = LabelledTypes[keyof LabelledTypes] | PolicyResource | Tier | Profile

/** What a host is, beside what the store says. */
export interface PolicyHost {
  readonly node: string
  readonly interfaces: readonly HostInterface[]
  readonly settings: Omit<DispatchSettings, 'shapeOf'>
}

/**
 * The rule set of a host, kept up from resources as they change: who is in which set, which policies apply to which endpoint of the host,
 * and the rules that follow. A change of a member costs that member; a change of policy costs the endpoints that it is for.
 */
export class PolicyEngine {
  readonly #members = new LabelIndex()
  readonly #selection = new PolicySelection()
  readonly #workloads = new Map<string, WorkloadEndpoint>()
  readonly #hostEndpoints = new Map<string, HostEndpoint>()
  readonly #profiles = new Map<string, Profile>()
  readonly #profileRules = new Map<string, ProfileRules>()
  readonly #contents = new Map<string, Readonly<Record<Family, SetContent>>>()
  readonly #problems = new Map<string, string>()
  #host: PolicyHost
  #lists: ListCompiler
  #ruleset: Ruleset = { objects: [], used: new Map() }
  #isOutdated = true

  constructor(host: PolicyHost) {
    this.#host = host
    this.#lists = this.#newLists()
  }

  /** What could not be read, by kind and id; its last good version stands. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  /** Takes note of the host as it is now. Settings that did not change are best the same object. */
  setHost(host: PolicyHost): void {
    const isSame = host.settings === this.#host.settings
    this.#host = host
    if (!isSame) this.#lists = this.#newLists()
    this.#isOutdated = true
  }

  /** Takes note of what stands behind a Service, by `<namespace>/<name>`; undefined: nothing. */
  setService(name: string, ends: readonly ServicePort[] | undefined): void {
    this.#members.setService(name, ends)
  }

  /** Takes note of a resource as it is now, under its id in the view; undefined: it is gone. */
  set(kind: PolicyInput['kind'], id: string, resource: PolicyInput | undefined): void {
    try {
      this.#set(kind, id, resource)
      this.#problems.delete(`${kind} ${id}`)
    } catch (error) {
      this.#problems.set(`${kind} ${id}`, `${kind} ${id}: ${describeError(error)}`)
    }
  }

  /** Works in all that was told, and gives the whole rule set; resumes where the caller left it at a `yield`. */
  *flush(): Generator<undefined, readonly NftObject[]> {
    yield* this.#selection.flush()
    if (this.#selection.takeChanges().size > 0) this.#isOutdated = true
    if (this.#isOutdated) yield* this.#compile()
    // What rules say of a set depends on its shape: where that changed they are made anew.
    for (;;) {
      yield* this.#members.flush()
      const changed = yield* this.#fillSets()
      if (changed.size === 0) break
      this.#lists.forgetUsers(changed)
      yield* this.#compile()
    }
    this.#isOutdated = false
    const sets = [...this.#ruleset.used.values()].flatMap(({ set, family }) => {
      const content = this.#contents.get(set.id)?.[family]
      return content === undefined || content.shape === 'empty' ? [] : [content.object]
    })
    return [...sets, ...this.#ruleset.objects]
  }

  #set(kind: PolicyInput['kind'], id: string, resource: PolicyInput | undefined): void {
    if (kind === 'Tier') this.#selection.setTier(id, resource?.kind === 'Tier' ? resource : undefined)
    else if (kind === 'Profile') this.#setProfile(id, resource?.kind === 'Profile' ? resource : undefined)
    else if (isLabelledKind(kind)) this.#setLabelled(kind, id, resource as LabelledTypes[keyof LabelledTypes] | undefined)
    else {
      const key = policyKey(kind, id)
      const policy = resource && readPolicy(resource as PolicyResource)
      this.#selection.setPolicy(key, policy)
    }
  }

  #setProfile(name: string, profile: Profile | undefined): void {
    const rules = readProfile(name, profile)
    if (profile === undefined) this.#profiles.delete(name)
    else this.#profiles.set(name, profile)
    this.#profileRules.set(name, rules)
    this.#isOutdated = true
    for (const index of [this.#members, this.#selection]) index.setProfile(name, profile?.spec.labelsToApply)
  }

  #setLabelled(kind: keyof LabelledTypes, id: string, resource: LabelledTypes[keyof LabelledTypes] | undefined): void {
    const key = `${kind}/${id}`
    const labelled = resource && labelledOf(resource)
    this.#members.set(key, labelled)
    if (kind === 'WorkloadEndpoint') this.#setLocal(this.#workloads, key, resource as WorkloadEndpoint | undefined, labelled)
    if (kind === 'HostEndpoint') this.#setLocal(this.#hostEndpoints, key, resource as HostEndpoint | undefined, labelled)
  }

  /** An endpoint of this host, or one that was. */
  #setLocal<T extends WorkloadEndpoint | HostEndpoint>(
    known: Map<string, T>,
    key: string,
    resource: T | undefined,
    labelled: Labelled | undefined,
  ): void {
    const isOurs = resource?.spec.node === this.#host.node && labelled !== undefined
    if (!isOurs && !known.has(key)) return
    if (isOurs) known.set(key, resource)
    else known.delete(key)
    this.#selection.setEndpoint(key, isOurs ? labelled : undefined)
    this.#isOutdated = true
  }

  *#compile(): Generator<undefined, void> {
    const { settings, interfaces } = this.#host
    const isWorkload = (name: string) => settings.workloadInterfaces.some((pattern) => fits(pattern, name))
    const { byInterface, wildcard } = planHostEndpoints(this.#hostEndpoints.values(), interfaces, isWorkload)
    const toLocal = (endpoint: HostEndpoint) => this.#local(`HostEndpoint/${endpoint.metadata.name}`, endpoint)
    const input = {
      settings: { ...settings, shapeOf: this.#shapeOf },
      workloads: new Map([...this.#workloads].map(([key, endpoint]) => [endpoint.spec.interfaceName ?? '', this.#local(key, endpoint)])),
      hostEndpoints: new Map([...byInterface].map(([name, endpoint]) => [name, toLocal(endpoint)])),
      wildcard: wildcard && toLocal(wildcard),
    }
    this.#ruleset = yield* planDispatch(input, this.#lists)
    this.#lists.sweep()
    this.#useSets()
  }

  #local(key: string, { spec }: WorkloadEndpoint | HostEndpoint): LocalEndpoint {
    return { id: key, tiers: this.#selection.policiesOf(key), profiles: (spec.profiles ?? []).map((name) => this.#rulesOf(name)) }
  }

  #rulesOf(profile: string): ProfileRules {
    const known = this.#profileRules.get(profile) ?? readProfile(profile, this.#profiles.get(profile))
    this.#profileRules.set(profile, known)
    return known
  }

  /** Begins to keep the sets that the rules name, ends to keep those that they don't. */
  #useSets(): void {
    const wanted = new Map([...this.#ruleset.used.values()].map(({ set }) => [set.id, set]))
    for (const [id, contents] of this.#contents) {
      if (wanted.has(id)) continue
      this.#contents.delete(id)
      this.#members.deactivate(contents[4].set)
    }
    for (const [id, set] of wanted) {
      if (this.#contents.has(id)) continue
      this.#contents.set(id, { 4: new SetContent(set, 4), 6: new SetContent(set, 6) })
      this.#members.activate(set)
    }
  }

  /** Gives the ids of the sets whose shape changed. */
  *#fillSets(): Generator<undefined, ReadonlySet<string>> {
    const changed = new Set<string>()
    for (const [id, change] of this.#members.takeChanges()) {
      for (const family of FAMILIES) {
        const content = this.#contents.get(id)?.[family]
        if (content === undefined) continue
        const before = content.shape
        yield* content.apply(change)
        if (content.shape !== before) changed.add(id)
      }
    }
    return changed
  }

  readonly #shapeOf = (id: string, family: Family): Shape => this.#contents.get(id)?.[family].shape ?? 'empty'

  #newLists(): ListCompiler {
    return new ListCompiler({ ...this.#host.settings, shapeOf: this.#shapeOf })
  }
}

function isLabelledKind(kind: PolicyInput['kind']): kind is keyof LabelledTypes {
  return kind === 'WorkloadEndpoint' || kind === 'HostEndpoint' || kind === 'GlobalNetworkSet' || kind === 'NetworkSet'
}

/** As `readPolicy` makes it of the resource. */
function policyKey(kind: string, id: string): string {
  const slash = id.indexOf('/')
  return `${id.slice(slash + 1)}/${slash < 0 ? '' : id.slice(0, slash)}/${kind}`
}

/** Whether the name is the pattern, or begins as it does before its `*`. */
function fits(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
