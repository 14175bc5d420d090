import { describeError } from '../errors.ts'
import type { NftObject } from '../kernel/objects.ts'
import type { CountedRule } from './counted-rule.ts'
import { PolicyEngine, type PolicyHost, type PolicyInput } from './engine.ts'
import type { IsPeer } from './engine-view.ts'
import type { PolicedHost } from './evaluate-path.ts'
import type { ObjectDelta } from './kept-objects.ts'
import { inSteps, TrialComposer, withoutTrial } from './trial.ts'

/** What a trial changes, by `<kind>/<id>`; undefined: it is removed. Another trial is another map. */
export type TrialOverlay = ReadonlyMap<string, PolicyInput | undefined>

/** What an engine is told of resources. */
export type Told = Pick<PolicyEngine, 'set' | 'setService' | 'setUnreadable'>

type Objects = ReadonlyMap<string, NftObject>
type TellAll = (told: Told) => Generator<undefined, unknown>

/** The kinds of which the members of sets are made, beside workload endpoints, which nobody tries. */
const MEMBER_KINDS: readonly PolicyInput['kind'][] = ['Profile', 'GlobalNetworkSet', 'NetworkSet', 'HostEndpoint']

/**
 * The rule set of a host as it is committed and, while something is tried, a second one of the resources with that laid over them,
 * as one. It is told as an engine is, and each of what it is told reaches both.
 */
export class Generations implements Told {
  readonly committed: PolicyEngine
  #host: PolicyHost
  #overlay: TrialOverlay | undefined
  #trial: TrialGeneration | undefined
  #fault: string | undefined
  /** What was last given while there was a trial. */
  #given: Map<string, NftObject> | undefined

  constructor(host: PolicyHost) {
    this.committed = new PolicyEngine(host)
    this.#host = host
  }

  /** What is tried, whether it can hold here or not. */
  get overlay(): TrialOverlay | undefined {
    return this.#overlay
  }

  /** Why what is tried can't hold here, in words; empty when it can. */
  get trialProblems(): readonly string[] {
    return this.#fault === undefined ? (this.#trial?.problems ?? []) : [this.#fault]
  }

  /** What of what is committed could not be read. */
  get problems(): ReadonlyMap<string, string> {
    return this.committed.problems
  }

  /** What the counters of both rule sets stand for, by their names. */
  get countedRules(): ReadonlyMap<string, CountedRule> {
    const { countedRules } = this.committed
    return this.#trial === undefined ? countedRules : new Map([...this.#trial.engine.countedRules, ...countedRules])
  }

  /** What decides about packets by what is committed: nothing follows for live connections from what is only tried. */
  policed(isPeer: IsPeer): PolicedHost {
    return this.committed.policed(isPeer)
  }

  /** The same by what is tried; undefined where nothing is, or it can't hold here. */
  policedOnTrial(isPeer: IsPeer): PolicedHost | undefined {
    return this.#trial?.engine.policed(isPeer)
  }

  setHost(host: PolicyHost): void {
    this.#host = host
    this.committed.setHost(host)
    this.#trial?.engine.setHost(host)
  }

  setService(...[name, ends]: Parameters<Told['setService']>): void {
    this.committed.setService(name, ends)
    this.#trial?.setService(name, ends)
  }

  set(...[kind, id, resource]: Parameters<Told['set']>): void {
    this.committed.set(kind, id, resource)
    this.#trial?.set(kind, id, resource)
  }

  setUnreadable(...[kind, id, reach]: Parameters<Told['setUnreadable']>): void {
    this.committed.setUnreadable(kind, id, reach)
    this.#trial?.setUnreadable(kind, id, reach)
  }

  /** Takes over what is tried, undefined for nothing; `tellAll` tells all that there is. Gives whether it is another. */
  *setTrial(overlay: TrialOverlay | undefined, tellAll: TellAll): Generator<undefined, boolean> {
    if (overlay === this.#overlay) return false
    this.#overlay = overlay
    this.#fault = undefined
    this.#given ??= new Map(this.committed.objects)
    this.#trial = undefined
    if (overlay !== undefined) yield* this.#begin(overlay, tellAll)
    return true
  }

  /** Works in all that was told, and gives what is otherwise than at the last time; resumes where the caller left it at a `yield`. */
  *flush(): Generator<undefined, ObjectDelta> {
    const delta = yield* this.committed.flush()
    if (this.#trial === undefined && this.#given === undefined) return delta
    const given = this.#given ?? new Map<string, NftObject>()
    const touched = yield* this.#compose(delta)
    const now = this.#trial?.composer.both ?? this.committed.objects
    const difference = yield* takeDifference(given, now, touched)
    this.#given = this.#trial === undefined ? undefined : given
    return difference
  }

  /** Keys of the objects that are there for the trial only, or are otherwise because of it; the set is live. */
  get trialKeys(): ReadonlySet<string> {
    return this.#trial?.composer.keys ?? NONE
  }

  /** The objects without those of the trial. */
  committedOf(objects: Objects): Objects {
    const keys = this.trialKeys
    return keys.size === 0 ? objects : withoutTrial(objects, keys, this.committed.objects)
  }

  *#begin(overlay: TrialOverlay, tellAll: TellAll): Generator<undefined, void> {
    try {
      const trial = new TrialGeneration(this.#host, overlay, this.committed.objects)
      yield* tellAll(trial)
      trial.tellOverlay()
      this.#trial = trial
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Gives the keys of what may be otherwise; undefined: of anything. */
  *#compose(ofCommitted: ObjectDelta): Generator<undefined, ReadonlySet<string> | undefined> {
    if (this.#trial === undefined) return undefined
    try {
      const { engine, composer } = this.#trial
      return yield* composer.compose(ofCommitted, yield* engine.flush())
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  /** A fault in what is tried must not stop what is committed. */
  #fail(error: unknown): void {
    this.#trial = undefined
    this.#fault = describeError(error)
  }
}

/** The engine of a trial: of what the trial changes it hears nothing else. */
class TrialGeneration implements Told {
  readonly engine: PolicyEngine
  readonly composer: TrialComposer
  readonly #overlay: TrialOverlay

  constructor(host: PolicyHost, overlay: TrialOverlay, committed: Objects) {
    this.engine = new PolicyEngine(host)
    this.#overlay = overlay
    const hasOwnMembers = [...overlay.keys()].some((key) => MEMBER_KINDS.some((kind) => key.startsWith(`${kind}/`)))
    this.composer = new TrialComposer(committed, this.engine.objects, hasOwnMembers)
  }

  /** What of the trial's own documents could not be read. */
  get problems(): readonly string[] {
    return [...this.#overlay.keys()].flatMap((key) => this.engine.problems.get(key.replace('/', ' ')) ?? [])
  }

  set(...[kind, id, resource]: Parameters<Told['set']>): void {
    if (!this.#overlay.has(`${kind}/${id}`)) this.engine.set(kind, id, resource)
  }

  setUnreadable(...[kind, id, reach]: Parameters<Told['setUnreadable']>): void {
    if (!this.#overlay.has(`${kind}/${id}`)) this.engine.setUnreadable(kind, id, reach)
  }

  setService(...[name, ends]: Parameters<Told['setService']>): void {
    this.engine.setService(name, ends)
  }

  tellOverlay(): void {
    for (const [key, resource] of this.#overlay) {
      const slash = key.indexOf('/')
      this.engine.set(key.slice(0, slash) as PolicyInput['kind'], key.slice(slash + 1), resource)
    }
  }
}

const NONE: ReadonlySet<string> = new Set()

/** What is otherwise now under these keys (undefined: any), which `given` takes over. */
function* takeDifference(
  given: Map<string, NftObject>,
  now: Objects,
  touched: ReadonlySet<string> | undefined,
): Generator<undefined, ObjectDelta> {
  const put: NftObject[] = []
  const remove: string[] = []
  for (const key of inSteps(touched ?? new Set([...given.keys(), ...now.keys()]))) {
    if (key === undefined) {
      yield
      continue
    }
    const [before, object] = [given.get(key), now.get(key)]
    if (before === object) continue
    if (object === undefined) {
      given.delete(key)
      remove.push(key)
    } else {
      given.set(key, object)
      put.push(object)
    }
  }
  return { put, remove }
}
