import { keyOf, type NftChain, type NftMatch, type NftObject, type NftRule, type NftSet, type NftVerdict } from '../kernel/objects.ts'
import type { ObjectDelta } from './kept-objects.ts'
import { isContentName, isMemberSet } from './set-names.ts'

/** The families of which packets are judged by the rules of a trial; its elements run out by themselves. */
export const TRIAL_SET: NftSet = {
  ...{ kind: 'set', name: 'trial', key: 'family', family: 4, isInterval: false, isTimed: true },
  elements: new Set(),
}

/** What is in that set while a trial holds. */
export const TRIAL_FAMILIES: readonly string[] = ['4', '6']

/** What names of the trial's own objects begin with. */
const PREFIX = 'trial-'

type Objects = ReadonlyMap<string, NftObject>

/**
 * Puts two rule sets of one host together to one: the committed one, and that of a trial, which holds for the families that are in
 * `TRIAL_SET`. A base chain in which they differ begins with the rule that leads to the trial's; what both have alike stands there once.
 * A change costs what it changes, but where a name begins or ends to stand for two things.
 *
 * ```
 * to-host  ── family in @trial ──▶ goto trial-to-host
 *          ── rules as committed
 * ```
 */
export class TrialComposer {
  readonly #committed: Objects
  readonly #trial: Objects
  /** Whether the trial may have other members in sets of the same name: it changes who has which labels or addresses. */
  readonly #hasOwnMembers: boolean
  /** Both in one, and of that what is there or otherwise because of the trial. */
  readonly #both = new Map<string, NftObject>()
  readonly #keys = new Set<string>()
  /** Keys of the trial that stand for something else in what is committed. */
  readonly #different = new Set<string>()
  #names: TrialNames
  #isMade = false

  /** Of two rule sets as they are at each call of `compose`. */
  constructor(committed: Objects, trial: Objects, hasOwnMembers: boolean) {
    this.#committed = committed
    this.#trial = trial
    this.#hasOwnMembers = hasOwnMembers
    this.#names = new TrialNames(trial, this.#different)
  }

  /** Both in one, by the kernel's key; the map is live. */
  get both(): Objects {
    return this.#both
  }

  /** Keys of the objects that are there for the trial only, or are otherwise because of it. */
  get keys(): ReadonlySet<string> {
    return this.#keys
  }

  /**
   * Takes over what changed in either; gives the keys of what may be otherwise in both, undefined for any. Resumes where the caller left
   * it at a `yield`.
   */
  *compose(ofCommitted: ObjectDelta, ofTrial: ObjectDelta): Generator<undefined, ReadonlySet<string> | undefined> {
    const changed = new Set([ofCommitted, ofTrial].flatMap(({ put, remove }) => [...put.map(keyOf.policy), ...remove]))
    if (!this.#isMade || (yield* this.#takeNames(changed))) {
      yield* this.#composeAll()
      return undefined
    }
    const touched = new Set<string>()
    for (const key of inSteps(changed)) {
      if (key === undefined) yield
      else this.#place(key, touched)
    }
    return touched
  }

  /** Gives whether one of the names that others refer to begins or ends to stand for two things. */
  *#takeNames(changed: ReadonlySet<string>): Generator<undefined, boolean> {
    const before = new Map<string, boolean>()
    for (const key of inSteps(changed)) {
      if (key === undefined) yield
      else {
        const known = this.#names.forget(key)
        if (known !== undefined) before.set(key, known)
        this.#takeDifference(key)
      }
    }
    return [...before].some(([key, isOwn]) => this.#trial.has(key) && this.#names.isOwn(key) !== isOwn)
  }

  *#composeAll(): Generator<undefined, void> {
    this.#names = new TrialNames(this.#trial, this.#different)
    this.#both.clear()
    this.#keys.clear()
    const touched = new Set<string>()
    for (const key of inSteps(this.#trial.keys())) {
      if (key === undefined) yield
      else this.#takeDifference(key)
    }
    this.#put(TRIAL_KEY, TRIAL_SET, touched)
    for (const objects of [this.#committed, this.#trial]) {
      for (const key of inSteps(objects.keys())) {
        if (key === undefined) yield
        else this.#place(key, touched)
      }
    }
    this.#isMade = true
  }

  #takeDifference(key: string): void {
    const object = this.#trial.get(key)
    if (object !== undefined && this.#isDifferent(object, this.#committed.get(key))) this.#different.add(key)
    else this.#different.delete(key)
  }

  #isDifferent(object: NftObject, committed: NftObject | undefined): boolean {
    if (object.kind === 'counter' || isBase(object) || isContentName(object.name)) return false
    if (object.kind === 'set') return isMemberSet(object.name) ? this.#hasOwnMembers : !isSameSet(object, committed)
    return committed !== undefined && !(committed.kind === 'chain' && isSameChain(object, committed))
  }

  /** Puts what both rule sets have under this key to where it belongs. */
  #place(key: string, touched: Set<string>): void {
    const [committed, trial] = [this.#committed.get(key), this.#trial.get(key)]
    const ownKey = key.replace(' ', ` ${PREFIX}`)
    if ((committed !== undefined && isBase(committed)) || (trial !== undefined && isBase(trial))) {
      this.#placeBase(key, ownKey, touched)
    } else if (trial !== undefined && this.#names.isOwn(key)) {
      this.#put(key, committed, touched)
      this.#put(ownKey, this.#names.rename(trial), touched)
    } else {
      this.#put(key, committed ?? trial, touched)
      this.#put(ownKey, undefined, touched)
    }
  }

  /** Lets a base chain begin with the way to that of the trial, unless both do the same. One that the trial has not lets everything go on. */
  #placeBase(key: string, ownKey: string, touched: Set<string>): void {
    const [committed, trial] = [this.#committed.get(key), this.#trial.get(key)].map((one) =>
      one !== undefined && isBase(one) ? one : undefined,
    )
    const base = committed ?? trial
    if (base === undefined) return
    const own = trial && (this.#names.rename(trial) as NftChain)
    if (committed !== undefined && own !== undefined && isSameRules(committed.rules, own.rules)) {
      this.#put(key, committed, touched)
      this.#put(ownKey, undefined, touched)
      return
    }
    const verdict: NftVerdict = own === undefined ? { do: 'accept' } : { do: 'goto', chain: own.name }
    const lead: NftRule = { matches: [{ on: 'family', set: TRIAL_SET.name }], verdict }
    this.#put(key, { ...base, rules: [lead, ...(committed?.rules ?? [])] }, touched)
    this.#put(ownKey, own, touched)
  }

  #put(key: string, object: NftObject | undefined, touched: Set<string>): void {
    if (object !== this.#both.get(key)) touched.add(key)
    if (object === undefined) this.#both.delete(key)
    else this.#both.set(key, object)
    if (object === undefined || object === this.#committed.get(key)) this.#keys.delete(key)
    else this.#keys.add(key)
  }
}

const TRIAL_KEY = keyOf.policy(TRIAL_SET)
const STEP = 50

/** The items, and `undefined` where it is time to let others run. */
export function* inSteps<T>(items: Iterable<T>): Generator<T | undefined> {
  let count = 0
  for (const item of items) {
    if (++count % STEP === 0) yield undefined
    yield item
  }
}

/** Without the objects that are there for a trial only. */
export function withoutTrial(both: Objects, trialKeys: ReadonlySet<string>, committed: Objects): Objects {
  const rest = new Map(both)
  for (const key of trialKeys) rest.delete(key)
  for (const [key, object] of committed) rest.set(key, object)
  return rest
}

/** Which objects of a trial need names of their own, because what they are or refer to is not what is committed. */
class TrialNames {
  readonly #trial: Objects
  readonly #different: ReadonlySet<string>
  readonly #known = new Map<string, boolean>()

  constructor(trial: Objects, different: ReadonlySet<string>) {
    this.#trial = trial
    this.#different = different
  }

  isOwn(key: string): boolean {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const object = this.#trial.get(key)
    const isOwn = this.#different.has(key) || (object !== undefined && referencesOf(object).some((one) => this.isOwn(one)))
    this.#known.set(key, isOwn)
    return isOwn
  }

  /** The object of this key may be another; gives what was known of it. */
  forget(key: string): boolean | undefined {
    const known = this.#known.get(key)
    this.#known.delete(key)
    return known
  }

  rename(object: NftObject): NftObject {
    const name = `${PREFIX}${object.name}`
    if (object.kind === 'counter') return object
    if (object.kind === 'chain') {
      const { rules, otherwise } = object
      const renamed = { kind: 'chain', name, rules: rules.map((rule) => this.#rule(rule)) } as const
      return otherwise === undefined ? renamed : { ...renamed, otherwise: otherwise.map((rule) => this.#rule(rule)) }
    }
    if (!object.isMap) return { ...object, name }
    return { ...object, name, elements: new Set([...object.elements].map((element) => this.#element(element))) }
  }

  #rule(rule: NftRule): NftRule {
    return { ...rule, matches: rule.matches.map((match) => this.#match(match)), verdict: this.#verdict(rule.verdict) }
  }

  #match(match: NftMatch): NftMatch {
    return 'set' in match ? { ...match, set: this.#name('set', match.set) } : match
  }

  #verdict(verdict: NftVerdict): NftVerdict {
    if (verdict.do === 'jump' || verdict.do === 'goto') return { ...verdict, chain: this.#name('chain', verdict.chain) }
    return verdict.do === 'map' ? { ...verdict, map: this.#name('set', verdict.map) } : verdict
  }

  #element(element: string): string {
    const chain = chainOfElement(element)
    return chain === undefined ? element : `${element.slice(0, -chain.length)}${this.#name('chain', chain)}`
  }

  #name(kind: 'set' | 'chain', name: string): string {
    return this.isOwn(`${kind} ${name}`) ? `${PREFIX}${name}` : name
  }
}

/** The kernel's keys of what an object refers to. */
function referencesOf(object: NftObject): readonly string[] {
  if (object.kind === 'counter') return []
  if (object.kind === 'set') {
    if (!object.isMap) return []
    return [...object.elements].flatMap((element) => chainOfElement(element) ?? []).map((chain) => `chain ${chain}`)
  }
  return [...object.rules, ...(object.otherwise ?? [])].flatMap(({ matches, verdict }) => [
    ...matches.flatMap((match) => ('set' in match ? [`set ${match.set}`] : [])),
    ...(verdict.do === 'jump' || verdict.do === 'goto' ? [`chain ${verdict.chain}`] : []),
    ...(verdict.do === 'map' ? [`set ${verdict.map}`] : []),
  ])
}

/** Of an element of a map: `<element> goto <chain>`. */
function chainOfElement(element: string): string | undefined {
  const at = element.lastIndexOf(' ')
  return at < 0 ? undefined : element.slice(at + 1)
}

function isBase(object: NftObject): object is NftChain {
  return object.kind === 'chain' && object.hook !== undefined
}

function isSameSet(a: NftSet, b: NftObject | undefined): boolean {
  return b === undefined || (b.kind === 'set' && a.elements.size === b.elements.size && [...a.elements].every((one) => b.elements.has(one)))
}

function isSameChain(a: NftChain, b: NftChain): boolean {
  return a === b || (isSameRules(a.rules, b.rules) && isSameRules(a.otherwise ?? [], b.otherwise ?? []))
}

function isSameRules(a: readonly NftRule[], b: readonly NftRule[]): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
