import { describeError } from '../errors.ts'
import { ElementsLeftOut, RefersToRefused } from '../kernel/nftables/put-plan.ts'
import { chainOf, keyOfElement, referencesOf } from '../kernel/nftables/references.ts'
import { StillReferredTo } from '../kernel/nftables/table.ts'
import type { NftObject, NftRule } from '../kernel/objects.ts'
import type { CountedRule } from '../policy/counted-rule.ts'
import type { Failure } from '../reconcile/reconciler.ts'

/** Where refused objects of the packet filter belong. */
export interface RuleSource {
  /** All that is wanted, by the kernel's key. */
  readonly objects: ReadonlyMap<string, NftObject>
  /** What the counters of rules stand for, by name. */
  readonly counted: ReadonlyMap<string, CountedRule>
  /** The name of the workload behind an interface. */
  readonly workloadOf: (link: string) => string | undefined
}

/** Whether the object only waits for another one, which is refused itself: that one says why. */
export function isConsequence({ table, error }: Failure): boolean {
  if (table !== 'policy') return false
  return (
    error instanceof ElementsLeftOut || error instanceof StillReferredTo || (error instanceof RefersToRefused && error.cause !== undefined)
  )
}

/** The interfaces of workloads that are closed because the kernel has refused what is for them, and why. */
export function closedLinks(failures: readonly Failure[]): ReadonlyMap<string, string> {
  const closed = new Map<string, string>()
  for (const { error } of failures) {
    if (!(error instanceof ElementsLeftOut)) continue
    for (const link of error.closed) closed.set(link, describeError(error.cause ?? error))
  }
  return closed
}

/** For whom refused chains and sets are and of which rules they are made. Asked for in each pass while something is refused. */
export class RefusedRules {
  #asked = ''
  #told: ReadonlyMap<string, string> = new Map()

  /** In words, by key; empty where it belongs to none. `revision` is another one when the objects are. */
  of(keys: readonly string[], source: RuleSource, revision: number): ReadonlyMap<string, string> {
    if (keys.length === 0) return NOTHING
    const asked = `${revision} ${keys.join()}`
    if (asked === this.#asked) return this.#told
    const users = usersOf(source.objects)
    this.#asked = asked
    this.#told = new Map(keys.map((key) => [key, describe(key, users, source)]))
    return this.#told
  }
}

const NOTHING: ReadonlyMap<string, string> = new Map()

type Users = ReadonlyMap<string, readonly NftObject[]>

function usersOf(objects: ReadonlyMap<string, NftObject>): Users {
  const users = new Map<string, NftObject[]>()
  for (const object of objects.values()) {
    for (const key of referencesOf(object)) {
      const known = users.get(key)
      if (known) known.push(object)
      else users.set(key, [object])
    }
  }
  return users
}

function describe(key: string, users: Users, source: RuleSource): string {
  const rules = new Set(rulesOf(key, users, source.objects).flatMap((rule) => namesOf(rule, source)))
  const ends = endpointsOf(key, users, source)
  const parts = [...(rules.size > 0 ? [`of ${some(rules)}`] : []), ...(ends.size > 0 ? [`for ${some(ends)}`] : [])]
  return parts.length === 0 ? '' : `${parts.join(', ')}: the rules of before stay in force, what is new is closed`
}

/** The rules in a chain, or those that look into a set. */
function rulesOf(key: string, users: Users, objects: ReadonlyMap<string, NftObject>): readonly NftRule[] {
  const object = objects.get(key)
  if (object?.kind === 'chain') return object.rules
  const chains = (users.get(key) ?? []).flatMap((user) => (user.kind === 'chain' ? user.rules : []))
  return chains.filter(({ matches }) => matches.some((match) => 'set' in match && `set ${match.set}` === key))
}

/** What the counter of a rule stands for, also where it counts in a chain of its own. */
function namesOf({ counter, verdict }: NftRule, { counted, objects }: RuleSource): readonly string[] {
  if (counter !== undefined) return nameOf(counted.get(counter))
  const next = 'chain' in verdict ? objects.get(`chain ${verdict.chain}`) : undefined
  if (next?.kind !== 'chain' || !next.name.startsWith('x_')) return []
  return next.rules.flatMap(({ counter: own }) => (own === undefined ? [] : nameOf(counted.get(own))))
}

function nameOf(rule: CountedRule | undefined): readonly string[] {
  if (rule?.by === 'policy') {
    const name = rule.namespace === undefined ? rule.name : `${rule.namespace}/${rule.name}`
    return [`${rule.kind} ${name} ${rule.direction} rule ${rule.rule}`]
  }
  return rule?.by === 'profile' ? [`Profile ${rule.profile} ${rule.direction} rule ${rule.rule}`] : []
}

/** The endpoints whose packets come to it. */
function endpointsOf(key: string, users: Users, { objects, workloadOf }: RuleSource): ReadonlySet<string> {
  const ends = new Set<string>()
  const seen = new Set<string>()
  const visit = (at: string): void => {
    if (seen.has(at)) return
    seen.add(at)
    const object = objects.get(at)
    if (object?.kind === 'chain' && object.otherwise !== undefined) ends.add(`host endpoint of ${interfaceOf(object.name)}`)
    for (const user of users.get(at) ?? []) {
      if (user.kind === 'set' && user.key === 'interface') for (const link of linksTo(user.elements, at)) ends.add(workloadOf(link) ?? link)
      visit(`${user.kind} ${user.name}`)
    }
  }
  visit(key)
  return ends
}

function linksTo(elements: ReadonlySet<string>, key: string): readonly string[] {
  return [...elements].filter((element) => `chain ${chainOf(element)}` === key).map(keyOfElement)
}

function interfaceOf(chain: string): string {
  return chain.endsWith('-other') ? 'all other interfaces' : chain.slice(chain.indexOf('.') + 1)
}

const MOST = 5

function some(names: ReadonlySet<string>): string {
  const list = [...names].sort()
  return list.length > MOST ? `${list.slice(0, MOST).join(', ')} and ${list.length - MOST} more` : list.join(', ')
}
