import { keyOf, type NftChain, type NftMatch, type NftObject, type NftRule, type NftSet, type NftVerdict } from '../kernel/objects.ts'
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
 * What did not change since the last time is the same object.
 *
 * ```
 * to-host  ── family in @trial ──▶ goto trial-to-host
 *          ── rules as committed
 * ```
 */
export class TrialComposer {
  /** Whether the trial may have other members in sets of the same name: it changes who has which labels or addresses. */
  readonly #hasOwnMembers: boolean
  #renamed = new WeakMap<NftObject, NftObject>()
  #led = new WeakMap<NftChain, NftChain>()
  /** By which the names were given; with others all is made anew. */
  #named = ''

  constructor(hasOwnMembers: boolean) {
    this.#hasOwnMembers = hasOwnMembers
  }

  /** Both in one, by the kernel's key. */
  compose(committed: Objects, trial: Objects): Objects {
    const different = new Set([...trial].flatMap(([key, object]) => (this.#isDifferent(object, committed.get(key)) ? [key] : [])))
    const named = [...different].join()
    if (named !== this.#named) {
      this.#renamed = new WeakMap()
      this.#led = new WeakMap()
      this.#named = named
    }
    const names = new TrialNames(trial, different)
    const both = new Map(committed)
    both.set(keyOf.policy(TRIAL_SET), TRIAL_SET)
    const bases = new Map<string, NftChain>()
    for (const object of trial.values()) {
      const own = this.#own(object, names)
      if (isBase(object)) bases.set(object.name, own as NftChain)
      else if (!both.has(keyOf.policy(own))) both.set(keyOf.policy(own), own)
    }
    this.#leadTo(bases, trial, both)
    return both
  }

  /** Whether the name stands for something else in what is committed. */
  #isDifferent(object: NftObject, committed: NftObject | undefined): boolean {
    if (object.kind === 'counter' || isBase(object) || isContentName(object.name)) return false
    if (object.kind === 'set') return isMemberSet(object.name) ? this.#hasOwnMembers : !isSameSet(object, committed)
    return committed !== undefined && !(committed.kind === 'chain' && isSameChain(object, committed))
  }

  /** Lets base chains begin with the way to those of the trial. */
  #leadTo(ofTrial: ReadonlyMap<string, NftChain>, trial: Objects, both: Map<string, NftObject>): void {
    for (const [key, base] of both) {
      if (!isBase(base)) continue
      const own = ofTrial.get(base.name)
      if (own !== undefined && isSameRules(base.rules, own.rules)) continue
      both.set(key, this.#lead(base, own))
      if (own !== undefined) both.set(keyOf.policy(own), own)
    }
    for (const [name, own] of ofTrial) {
      const key = `chain ${name}`
      const base = trial.get(key)
      if (both.has(key) || base === undefined || !isBase(base)) continue
      both.set(key, this.#lead(base, own, []))
      both.set(keyOf.policy(own), own)
    }
  }

  /** A base chain that is not there in the trial lets everything go on. */
  #lead(base: NftChain, own: NftChain | undefined, rules = base.rules): NftChain {
    const known = this.#led.get(base)
    const verdict: NftVerdict = own === undefined ? { do: 'accept' } : { do: 'goto', chain: own.name }
    if (known?.rules[0] !== undefined && JSON.stringify(known.rules[0].verdict) === JSON.stringify(verdict)) return known
    const led: NftChain = { ...base, rules: [{ matches: [{ on: 'family', set: TRIAL_SET.name }], verdict }, ...rules] }
    this.#led.set(base, led)
    return led
  }

  #own(object: NftObject, names: TrialNames): NftObject {
    if (!isBase(object) && !names.isOwn(keyOf.policy(object))) return object
    const known = this.#renamed.get(object)
    if (known !== undefined) return known
    const renamed = names.rename(object)
    this.#renamed.set(object, renamed)
    return renamed
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
  readonly #known = new Map<string, boolean>()

  constructor(trial: Objects, different: ReadonlySet<string>) {
    this.#trial = trial
    for (const key of different) this.#known.set(key, true)
  }

  isOwn(key: string): boolean {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const object = this.#trial.get(key)
    const isOwn = object !== undefined && referencesOf(object).some((one) => this.isOwn(one))
    this.#known.set(key, isOwn)
    return isOwn
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
