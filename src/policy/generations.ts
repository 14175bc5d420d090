import type { NftObject } from '../kernel/objects.ts'
import { PolicyEngine, type PolicyHost, type PolicyInput } from './engine.ts'
import type { ObjectDelta } from './kept-objects.ts'
import { TrialComposer, withoutTrial } from './trial.ts'

/** What a trial changes, by `<kind>/<id>`; undefined: it is removed. Another trial is another map. */
export type TrialOverlay = ReadonlyMap<string, PolicyInput | undefined>

/** What an engine is told of resources. */
export type Told = Pick<PolicyEngine, 'set' | 'setService'>

/** The kinds of which the members of sets are made, beside workload endpoints, which nobody tries. */
const MEMBER_KINDS: readonly PolicyInput['kind'][] = ['Profile', 'GlobalNetworkSet', 'NetworkSet', 'HostEndpoint']

/**
 * The rule set of a host as it is committed and, while something is tried, a second one of the resources with that laid over them,
 * as one. It is told as an engine is, and each of what it is told reaches both.
 */
export class Generations {
  readonly committed: PolicyEngine
  #host: PolicyHost
  #trial: TrialGeneration | undefined
  /** What was last given while there was a trial. */
  #given: ReadonlyMap<string, NftObject> | undefined

  constructor(host: PolicyHost) {
    this.committed = new PolicyEngine(host)
    this.#host = host
  }

  /** Whether a trial's rules are there. */
  get isTrial(): boolean {
    return this.#trial !== undefined
  }

  get problems(): ReadonlyMap<string, string> {
    return this.#trial === undefined ? this.committed.problems : new Map([...this.#trial.engine.problems, ...this.committed.problems])
  }

  setHost(host: PolicyHost): void {
    this.#host = host
    this.committed.setHost(host)
    this.#trial?.engine.setHost(host)
  }

  setService: Told['setService'] = (name, ends) => {
    this.committed.setService(name, ends)
    this.#trial?.engine.setService(name, ends)
  }

  set: Told['set'] = (kind, id, resource) => {
    this.committed.set(kind, id, resource)
    this.#trial?.set(kind, id, resource)
  };

  /** Takes over what is tried, undefined for nothing; `tellAll` tells all that there is. Gives whether it is another. */
  *setTrial(overlay: TrialOverlay | undefined, tellAll: (told: Told) => Generator<undefined, unknown>): Generator<undefined, boolean> {
    if (overlay === this.#trial?.overlay) return false
    this.#given ??= new Map(this.committed.objects)
    this.#trial = undefined
    if (overlay === undefined) return true
    const trial = new TrialGeneration(this.#host, overlay)
    yield* tellAll(trial)
    trial.tellOverlay()
    this.#trial = trial
    return true
  }

  /** Works in all that was told, and gives what is otherwise than at the last time; resumes where the caller left it at a `yield`. */
  *flush(): Generator<undefined, ObjectDelta> {
    const delta = yield* this.committed.flush()
    if (this.#trial === undefined && this.#given === undefined) return delta
    yield* this.#trial?.engine.flush() ?? NOTHING
    const before = this.#given ?? new Map()
    const now = this.#trial?.compose(this.committed.objects) ?? this.committed.objects
    this.#given = this.#trial === undefined ? undefined : now
    return difference(before, now)
  }

  /** Keys of the objects that are there for the trial only, or are otherwise because of it. */
  trialKeys(): ReadonlySet<string> {
    if (this.#trial === undefined || this.#given === undefined) return new Set()
    const { objects } = this.committed
    return new Set([...this.#given].flatMap(([key, object]) => (objects.get(key) === object ? [] : [key])))
  }

  /** The objects without those of the trial. */
  committedOf(objects: ReadonlyMap<string, NftObject>): ReadonlyMap<string, NftObject> {
    const keys = this.trialKeys()
    return keys.size === 0 ? objects : withoutTrial(objects, keys, this.committed.objects)
  }
}

const NOTHING: readonly undefined[] = []

/** The engine of a trial: of what the trial changes it hears nothing else. */
class TrialGeneration implements Told {
  readonly overlay: TrialOverlay
  readonly engine: PolicyEngine
  readonly #composer: TrialComposer

  constructor(host: PolicyHost, overlay: TrialOverlay) {
    this.overlay = overlay
    this.engine = new PolicyEngine(host)
    this.#composer = new TrialComposer([...overlay.keys()].some((key) => MEMBER_KINDS.some((kind) => key.startsWith(`${kind}/`))))
  }

  set: Told['set'] = (kind, id, resource) => {
    if (!this.overlay.has(`${kind}/${id}`)) this.engine.set(kind, id, resource)
  }

  setService: Told['setService'] = (name, ends) => this.engine.setService(name, ends)

  tellOverlay(): void {
    for (const [key, resource] of this.overlay) {
      const slash = key.indexOf('/')
      this.engine.set(key.slice(0, slash) as PolicyInput['kind'], key.slice(slash + 1), resource)
    }
  }

  compose(committed: ReadonlyMap<string, NftObject>): ReadonlyMap<string, NftObject> {
    return this.#composer.compose(committed, this.engine.objects)
  }
}

function difference(before: ReadonlyMap<string, NftObject>, now: ReadonlyMap<string, NftObject>): ObjectDelta {
  return {
    put: [...now].flatMap(([key, object]) => (before.get(key) === object ? [] : [object])),
    remove: [...before.keys()].filter((key) => !now.has(key)),
  }
}
