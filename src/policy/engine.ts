import { describeError } from '../errors.ts'
import type { NftObject } from '../kernel/objects.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Profile } from '../model/profile.ts'
import type { Tier } from '../model/tier.ts'
import type { Reach } from '../model/unreadable.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { ChangeLog, type PolicyChanges } from './change-log.ts'
import { ClosedEndpoints, closedHostEndpoint, closingPolicy } from './closed.ts'
import type { CountedRule } from './counted-rule.ts'
import type { DispatchInput, DispatchSettings, WorkloadState } from './dispatch.ts'
import { fitsInterface, type IsPeer, policedHost } from './engine-view.ts'
import type { LocalEndpoint } from './evaluate.ts'
import type { PolicedHost } from './evaluate-path.ts'
import { type HostInterface, planHostEndpoints } from './host-endpoints.ts'
import type { ObjectDelta } from './kept-objects.ts'
import { KeptSets } from './kept-sets.ts'
import { LabelIndex } from './label-index.ts'
import { type Labelled, type LabelledTypes, labelledOf } from './labelled.ts'
import { ListCompiler } from './lists.ts'
import type { ServicePort } from './members.ts'
import { visitNamedSets } from './named-sets.ts'
import { type PolicyResource, readPolicy } from './policies.ts'
import { type ProfileRules, readProfile } from './profiles.ts'
import { BASES, type LocalWorkload, type Making, Ruleset } from './ruleset.ts'
import { PolicySelection } from './select.ts'

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
  readonly #problems = new Map<string, string>()
  readonly #closed = new ClosedEndpoints()
  readonly #ruleset = new Ruleset()
  readonly #changes = new ChangeLog()
  readonly #sets = new KeptSets(this.#members, this.#ruleset.objects, this.#changes)
  /** Rules of which the sets are kept. */
  readonly #foreseen = new WeakSet<object>()
  /** Workloads whose rules must be made anew, by id. */
  readonly #outdated = new Set<string>()
  #areBasesOutdated = true
  /** With which the base chains were made. */
  #workloadsOfBases: WorkloadState = 'none'
  #host: PolicyHost
  #making: Making

  constructor(host: PolicyHost) {
    this.#host = host
    this.#making = this.#newMaking()
  }

  /** What could not be read, by kind and id; its last good version stands. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  /** Takes note of the host as it is now. Settings that did not change are best the same object. */
  setHost(host: PolicyHost): void {
    const isSame = host.settings === this.#host.settings
    this.#host = host
    this.#areBasesOutdated = true
    if (isSame) return
    this.#making = this.#newMaking()
    this.#outdateAll()
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

  /** Takes note, after `set`, of what a resource would govern that does not parse; undefined: it does, it is gone, or nobody can tell. */
  setUnreadable(kind: PolicyInput['kind'], id: string, reach: Reach | undefined): void {
    const key = `${kind}/${id}`
    if (kind === 'Tier' || kind === 'Profile') {
      if (this.#closed.set(kind === 'Tier' ? 'tier' : 'profile', id, reach !== undefined)) this.#outdateAll()
    } else if (kind === 'HostEndpoint') {
      if (reach?.of === 'host') this.#setLabelled(kind, id, closedHostEndpoint(id, reach))
      if (this.#closed.set('endpoint', key, reach !== undefined)) this.#outdate(key)
    } else if (reach?.of === 'endpoints') {
      const policy = policyKey(kind, id)
      this.#selection.setPolicy(policy, closingPolicy(policy, reach.selector))
    }
  }

  /** What the counters of the rule set stand for, by their names, as of the last `flush`; the map is live. */
  get countedRules(): ReadonlyMap<string, CountedRule> {
    return this.#ruleset.held.rules
  }

  /** The whole rule set as of the last `flush`, by the kernel's key; the map is live. */
  get objects(): ReadonlyMap<string, NftObject> {
    return this.#ruleset.objects.all
  }

  /** What decides about packets as of the last `flush`, for the evaluator; it holds until something is told or flushed again. */
  policed(isPeer: IsPeer): PolicedHost {
    const workloads = [...this.#workloads.keys()].flatMap((id) => this.#localWorkload(id) ?? [])
    return policedHost({ ...this.#dispatchInput(), workloads, members: this.#sets, isPeer })
  }

  /** What of that which decides about packets changed with each `flush` since this was last asked. */
  takeChanges(): PolicyChanges {
    return this.#changes.take()
  }

  /** Works in all that was told, and gives what is otherwise than at the last time; resumes where the caller left it at a `yield`. */
  *flush(): Generator<undefined, ObjectDelta> {
    yield* this.#selection.flush()
    for (const id of this.#selection.takeChanges()) this.#outdate(id)
    yield* this.#foreseeSets()
    const { held } = this.#ruleset
    do {
      // What rules say of a set depends on its shape: where that changed they are made anew.
      const reshaped = yield* this.#sets.fill()
      for (const id of this.#ruleset.usersOf(reshaped, this.#making.lists)) this.#outdate(id)
      yield* this.#compile()
    } while (this.#sets.use(held.takeChangedSets()))
    this.#sets.settle()
    this.#ruleset.settle(this.#making.lists)
    return this.#ruleset.objects.takeDelta()
  }

  #set(kind: PolicyInput['kind'], id: string, resource: PolicyInput | undefined): void {
    if (kind === 'Tier') this.#selection.setTier(id, resource?.kind === 'Tier' ? resource : undefined)
    else if (kind === 'Profile') this.#setProfile(id, resource?.kind === 'Profile' ? resource : undefined)
    else if (isLabelledKind(kind)) this.#setLabelled(kind, id, resource as LabelledTypes[keyof LabelledTypes] | undefined)
    else {
      const key = policyKey(kind, id)
      const policy = resource && readPolicy(resource as PolicyResource, this.#selection.policy(key))
      this.#selection.setPolicy(key, policy)
    }
  }

  #setProfile(name: string, profile: Profile | undefined): void {
    const rules = readProfile(name, profile)
    if (profile === undefined) this.#profiles.delete(name)
    else this.#profiles.set(name, profile)
    this.#profileRules.set(name, rules)
    for (const endpoints of [this.#workloads, this.#hostEndpoints]) {
      for (const [id, { spec }] of endpoints) if (spec.profiles?.includes(name)) this.#outdate(id)
    }
    for (const index of [this.#members, this.#selection]) index.setProfile(name, profile?.spec.labelsToApply)
  }

  #setLabelled(kind: keyof LabelledTypes, id: string, resource: LabelledTypes[keyof LabelledTypes] | undefined): void {
    const key = `${kind}/${id}`
    const labelled = resource && labelledOf(resource)
    // Of endpoints there are many: the view's own text is their key. No other key begins with a namespace.
    this.#members.set(kind === 'WorkloadEndpoint' ? id : key, labelled)
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
    for (const one of [known.get(key), resource])
      if (one?.kind === 'WorkloadEndpoint') this.#changes.noteNetworks(one.spec.ipNetworks ?? [])
    if (isOurs) known.set(key, resource)
    else known.delete(key)
    this.#selection.setEndpoint(key, isOurs ? labelled : undefined)
    this.#outdate(key)
  }

  /** Makes the rules of endpoints anew of which something changed. */
  *#compile(): Generator<undefined, void> {
    for (const id of this.#outdated) {
      this.#changes.noteNetworks(this.#workloads.get(id)?.spec.ipNetworks ?? [])
      yield* this.#ruleset.setWorkload(id, this.#localWorkload(id), this.#making)
      this.#outdated.delete(id)
      yield
    }
    const { workloads } = this.#ruleset
    if (!this.#areBasesOutdated && workloads === this.#workloadsOfBases) return
    if (this.#areBasesOutdated) this.#changes.noteAll()
    this.#ruleset.setHostEndpoints(this.#dispatchInput(), this.#making.lists)
    this.#areBasesOutdated = false
    this.#workloadsOfBases = workloads
  }

  #localWorkload(id: string): LocalWorkload | undefined {
    const endpoint = this.#workloads.get(id)
    const link = endpoint?.spec.interfaceName
    if (!endpoint || !link || this.#making.settings.workloadInterfaces.length === 0) return undefined
    return { link, endpoint: this.#local(id, endpoint) }
  }

  #dispatchInput(): DispatchInput {
    const { interfaces } = this.#host
    const { settings } = this.#making
    const isWorkload = (name: string) => settings.workloadInterfaces.some((pattern) => fitsInterface(pattern, name))
    const { byInterface, wildcard } = planHostEndpoints(this.#hostEndpoints.values(), interfaces, isWorkload)
    const toLocal = (endpoint: HostEndpoint) => this.#local(`HostEndpoint/${endpoint.metadata.name}`, endpoint)
    const hostEndpoints = new Map([...byInterface].map(([name, endpoint]) => [name, toLocal(endpoint)]))
    return { settings, hostEndpoints, wildcard: wildcard && toLocal(wildcard), workloads: this.#ruleset.workloads }
  }

  #local(key: string, { spec }: WorkloadEndpoint | HostEndpoint): LocalEndpoint {
    const profiles = (spec.profiles ?? []).map((name) => this.#rulesOf(name))
    return this.#closed.applyTo({ id: key, tiers: this.#selection.policiesOf(key), profiles })
  }

  #rulesOf(profile: string): ProfileRules {
    const known = this.#profileRules.get(profile) ?? readProfile(profile, this.#profiles.get(profile))
    this.#profileRules.set(profile, known)
    return known
  }

  /** Most of what a new policy names is not there yet: rules made before their sets are filled would have to be made again. */
  *#foreseeSets(): Generator<undefined, void> {
    for (const id of this.#outdated) {
      const endpoint = this.#workloads.get(id)
      if (endpoint) this.#foresee(this.#local(id, endpoint))
      yield
    }
    if (!this.#areBasesOutdated) return
    for (const [id, endpoint] of this.#hostEndpoints) this.#foresee(this.#local(id, endpoint))
  }

  #foresee(endpoint: LocalEndpoint): void {
    visitNamedSets(endpoint, this.#foreseen, (set) => this.#sets.foresee(set))
  }

  #outdate(id: string): void {
    if (id === BASES || id.startsWith('HostEndpoint/')) this.#areBasesOutdated = true
    else this.#outdated.add(id)
  }

  #outdateAll(): void {
    for (const id of this.#workloads.keys()) this.#outdate(id)
    this.#areBasesOutdated = true
  }

  #newMaking(): Making {
    const settings = { ...this.#host.settings, shapeOf: this.#sets.shapeOf }
    return { settings, lists: new ListCompiler(settings) }
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
