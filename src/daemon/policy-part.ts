import type { ModelKind } from '../model/kinds.ts'
import { EVERYTHING, type PolicyChanges } from '../policy/change-log.ts'
import type { CountedRule } from '../policy/counted-rule.ts'
import type { PolicyHost, PolicyInput } from '../policy/engine.ts'
import type { IsPeer } from '../policy/engine-view.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import { logSettings, policySettings } from '../policy/felix-settings.ts'
import { Generations, type Told } from '../policy/generations.ts'
import type { ObjectDelta } from '../policy/kept-objects.ts'
import { LABELLED_KINDS } from '../policy/labelled.ts'
import { POLICY_KIND_NAMES } from '../policy/policies.ts'
import { ServiceIndex } from '../policy/service-index.ts'
import type { Change, View } from '../store/view.ts'
import type { PlanContext } from './plan-context.ts'
import { workloadInterfaces } from './workload-interfaces.ts'

/** The group whose part are the rules of endpoints. It stands also without networking. */
export const POLICY_GROUP = 'policy'

/** The kinds that the engine is told of. */
const ENGINE_KINDS: readonly PolicyInput['kind'][] = ['Tier', 'Profile', ...POLICY_KIND_NAMES, ...LABELLED_KINDS]

/** The bit of packets' marks that says "allowed before connection tracking or before NAT". */
const MARK_BIT = 0x1000_0000

/** What the plan of the rules came to. */
export interface PolicyPlan {
  /** What is otherwise than after the plan before. */
  readonly delta: ObjectDelta
  /** There is no plan before: what is put is all that is wanted. */
  readonly isFresh: boolean
  /** What could not be read, in words. */
  readonly problems: readonly string[]
}

/**
 * The rules of this host's endpoints as a part of the plan. Its engine remembers what it was told, so that a change costs what
 * it touches; of another view, and after `forget`, everything is told anew.
 */
export class PolicyPart {
  #engine: Generations | undefined
  #services = new ServiceIndex()
  #view: View | undefined
  #felix: PlanContext['felix'] | undefined
  #implicit: PlanContext['implicit'] | undefined
  #host: PolicyHost | undefined
  #version = 0
  #isPlanning = false

  /** Another number whenever what decides about packets may be another. */
  get version(): number {
    return this.#version
  }

  /** What decides about packets is changing just now. */
  get isPlanning(): boolean {
    return this.#isPlanning
  }

  /** What of it changed since this was last asked; what is on trial is not looked at. */
  takeChanges(): PolicyChanges {
    return this.#engine?.committed.takeChanges() ?? EVERYTHING
  }

  /** What decides about packets, as the last plan has it; undefined before it, and while it is planned anew. Good until then. */
  policed(isPeer: IsPeer): PolicedHost | undefined {
    return this.#isPlanning ? undefined : this.#engine?.policed(isPeer)
  }

  /** The same of what is on trial; undefined without a trial, too. */
  policedOnTrial(isPeer: IsPeer): PolicedHost | undefined {
    return this.#isPlanning ? undefined : this.#engine?.policedOnTrial(isPeer)
  }

  /** Whether the kernel can tell of packets; read with each change of settings. */
  readonly #canLog: () => boolean

  constructor(canLog: () => boolean = () => true) {
    this.#canLog = canLog
  }

  /** What the counters of the rules stand for, by their names, as of the last plan. */
  get countedRules(): ReadonlyMap<string, CountedRule> {
    return this.#engine?.countedRules ?? NO_RULES
  }

  /** The rule sets as of the last plan; undefined before it. */
  get generations(): Generations | undefined {
    return this.#engine
  }

  /** Begins from nothing with the next plan: the last one broke off. */
  forget(): void {
    this.#engine = undefined
  }

  /** Takes in what changed, and gives what follows for the rules; resumes where the caller left it at a `yield`. */
  *plan(context: PlanContext, changes: readonly Change[]): Generator<undefined, PolicyPlan> {
    this.#isPlanning = true
    const { view } = context
    const isFresh = this.#engine === undefined || view !== this.#view
    const isOtherHost = this.#takeHost(context, isFresh || changes.some(({ kind }) => kind === 'WorkloadEndpoint'))
    const engine = this.#engineFor(isFresh, isOtherHost)
    this.#view = view
    const isTold = isFresh ? yield* this.#tellAll(engine, view, this.#services) : yield* this.#tell(engine, view, changes)
    const isOtherTrial = yield* engine.setTrial(context.facts.trial, (told) => this.#tellAll(told, view, new ServiceIndex()))
    const delta = isFresh || isOtherHost || isTold || isOtherTrial ? yield* engine.flush() : UNCHANGED
    if (isFresh || isOtherHost || isOtherTrial || delta.put.length + delta.remove.length > 0) this.#version++
    this.#isPlanning = false
    return { delta, isFresh, problems: [...engine.problems.values()] }
  }

  #engineFor(isFresh: boolean, isOtherHost: boolean): Generations {
    const host = this.#host as PolicyHost
    if (this.#engine !== undefined && !isFresh) {
      if (isOtherHost) this.#engine.setHost(host)
      return this.#engine
    }
    this.#services = new ServiceIndex()
    this.#engine = new Generations(host)
    return this.#engine
  }

  /** Gives whether the host is another than before. What did not change stays the same object, by which the engine knows it. */
  #takeHost(context: PlanContext, areWorkloadsChanged: boolean): boolean {
    const { facts, felix } = context
    const before = this.#host
    const areSettingsOld = before !== undefined && felix === this.#felix && context.implicit === this.#implicit && !areWorkloadsChanged
    this.#felix = felix
    this.#implicit = context.implicit
    if (areSettingsOld && before.interfaces === facts.interfaces) return false
    const settings = areSettingsOld ? before.settings : settingsOf(context, this.#canLog())
    const host: PolicyHost = {
      node: facts.node,
      interfaces: facts.interfaces,
      settings: before !== undefined && isSame(before.settings, settings) ? before.settings : settings,
    }
    this.#host = host
    return before === undefined || host.settings !== before.settings || !isSame(host.interfaces, before.interfaces)
  }

  *#tellAll(engine: Told, view: View, services: ServiceIndex): Generator<undefined, boolean> {
    for (const kind of ENGINE_KINDS) {
      for (const [id, resource] of view.get(kind)) {
        engine.set(kind, id, resource)
        yield
      }
    }
    for (const { kind, id, reach } of view.unreadable.values()) if (isEngineKind(kind)) engine.setUnreadable(kind, id, reach)
    yield* tellEndpoints(services, view)
    for (const [id, service] of view.get('Service')) {
      services.setService(id, service)
      yield
    }
    tellServices(engine, services)
    return true
  }

  *#tell(engine: Told, view: View, changes: readonly Change[]): Generator<undefined, boolean> {
    let isTold = false
    yield* tellEndpoints(this.#services, view)
    for (const { kind, id } of changes) {
      if (isEngineKind(kind)) {
        engine.set(kind, id, view.get(kind).get(id))
        engine.setUnreadable(kind, id, view.unreadable.get(`${kind}/${id}`)?.reach)
      }
      if (kind === 'WorkloadEndpoint' && this.#services.hasEndpoints) this.#services.setEndpoint(id, view.get(kind).get(id))
      if (kind === 'Service') this.#services.setService(id, view.get(kind).get(id))
      isTold ||= isEngineKind(kind) || kind === 'Service'
      yield
    }
    tellServices(engine, this.#services)
    return isTold
  }
}

/** Without a Service nobody asks for endpoints, of which there may be very many. */
function* tellEndpoints(services: ServiceIndex, view: View): Generator<undefined, void> {
  if (view.get('Service').size === 0 || services.hasEndpoints) return
  for (const [id, endpoint] of view.get('WorkloadEndpoint')) {
    services.setEndpoint(id, endpoint)
    yield
  }
}

function tellServices(engine: Told, services: ServiceIndex): void {
  for (const [id, ends] of services.takeChanges()) engine.setService(id, ends)
}

const NO_RULES: ReadonlyMap<string, CountedRule> = new Map()
const UNCHANGED: ObjectDelta = { put: [], remove: [] }

/** What decides about packets here beside resources: the configuration, and what of this host the frame knows too. */
function settingsOf(context: PlanContext, canLog: boolean): PolicyHost['settings'] {
  const { felix, implicit } = context
  return {
    ...policySettings(felix),
    ...(canLog ? { logs: logSettings(felix) } : {}),
    markBit: MARK_BIT,
    workloadInterfaces: workloadInterfaces(context),
    implicit: implicit.rules,
  }
}

function isEngineKind(kind: ModelKind): kind is PolicyInput['kind'] {
  return (ENGINE_KINDS as readonly ModelKind[]).includes(kind)
}

/** Plain values, small ones. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
