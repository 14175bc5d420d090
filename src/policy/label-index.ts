import { matchesSelector, selectorId } from '../model/selector.ts'
import type { Selector } from '../model/selector-parse.ts'
import type { AddressSet, NamedPortSet } from './address-set.ts'
import { LabelRelevance } from './label-relevance.ts'
import { type Labelled, namedPorts } from './labelled.ts'
import { type MemberChange, MemberSet } from './member-set.ts'
import type { ServicePort } from './members.ts'
import { coverOf, type Term, termOf } from './selector-terms.ts'

/** An endpoint or network set, and the kind that it is of. */
interface Item {
  given: Labelled
  class: LabelClass | undefined
}

/** Labels that items inherit, by those who do. A profile that does not exist is one without labels. */
interface ProfileNode {
  labels: Readonly<Record<string, string>>
  readonly items: Set<Item>
}

/** All items that are alike to the selectors in use. */
interface LabelClass {
  readonly key: string
  readonly labels: ReadonlyMap<string, string>
  readonly items: Set<Item>
  readonly selectors: Set<ActiveSelector>
}

/** A selector that some set in use names. */
interface ActiveSelector {
  readonly id: string
  readonly selector: Selector
  readonly classes: Set<LabelClass>
  /** Terms under which it is found; undefined: it is asked always. Absent until it was asked for the first time. */
  cover?: readonly Term[] | undefined
  isAsked: boolean
  readonly sets: Map<string, SelectedSet>
}

/** A set in use whose members come from a selector: addresses, or what offers a port of a name. */
interface SelectedSet {
  readonly port: NamedPortSet | undefined
  readonly members: MemberSet
  /** Whether what was there before the set is in it. */
  isFilled: boolean
}

/**
 * The members of the sets that the rules in use name, kept up as labels, profiles and rules change, at the cost of what changed. Changes
 * are only noted when they are told; `flush` works them in and can be left and resumed at each `yield`.
 */
export class LabelIndex {
  readonly #relevance = new LabelRelevance()
  readonly #items = new Map<string, Item>()
  readonly #profiles = new Map<string, ProfileNode>()
  readonly #classes = new Map<string, LabelClass>()
  readonly #classesByTerm = new Map<Term, Set<LabelClass>>()
  readonly #selectors = new Map<string, ActiveSelector>()
  readonly #selectorsByTerm = new Map<Term, Set<ActiveSelector>>()
  readonly #alwaysAsked = new Set<ActiveSelector>()
  /** Every set in use; those of Services have no selector. */
  readonly #sets = new Map<string, { readonly set: AddressSet; readonly members: MemberSet }>()
  /** Sets in which something came or went. */
  readonly #touched = new Set<MemberSet>()
  /** Selectors with sets that are not filled. */
  readonly #fresh = new Set<ActiveSelector>()
  readonly #services = new Map<string, readonly ServicePort[]>()
  readonly #pending = new Map<string, Labelled | undefined>()
  readonly #stale = new Set<Item>()
  /** During a `flush`: the classes of labels with profiles. */
  readonly #found = new Map<Labelled['labels'], Map<Labelled['profiles'], LabelClass>>()

  /** Takes note of an endpoint or a network set as it is now; undefined: it is gone. */
  set(id: string, given: Labelled | undefined): void {
    this.#pending.set(id, given)
  }

  /** Takes note of the labels that a profile gives now; undefined: it is gone. */
  setProfile(name: string, labels: Readonly<Record<string, string>> | undefined): void {
    const node = this.#profile(name)
    node.labels = labels ?? {}
    for (const item of node.items) this.#stale.add(item)
    if (labels === undefined && node.items.size === 0) this.#profiles.delete(name)
  }

  /** Takes note of what stands behind a Service now; undefined: nothing. */
  setService(name: string, ends: readonly ServicePort[] | undefined): void {
    const before = this.#services.get(name) ?? []
    if (ends === undefined) this.#services.delete(name)
    else this.#services.set(name, ends)
    for (const { set, members } of this.#sets.values()) {
      if (set.kind !== 'service' || set.service !== name) continue
      for (const end of ends ?? []) members.add(serviceMember(end, set.hasPorts))
      for (const end of before) members.remove(serviceMember(end, set.hasPorts))
    }
  }

  /** Begins to keep the members of a set; they are there after the next `flush`. */
  activate(set: AddressSet): void {
    if (this.#sets.has(set.id)) return
    const members = new MemberSet(set.id, this.#touched)
    this.#sets.set(set.id, { set, members })
    if (set.kind === 'service') {
      for (const end of this.#services.get(set.service) ?? []) members.add(serviceMember(end, set.hasPorts))
      return
    }
    const port = set.kind === 'named-port' ? set : undefined
    const selector = this.#selectorOf(set.selector)
    selector.sets.set(set.id, { port, members, isFilled: false })
    this.#fresh.add(selector)
  }

  /** Ends to keep the members of a set. */
  deactivate(set: AddressSet): void {
    if (!this.#sets.delete(set.id) || set.kind === 'service') return
    const selector = this.#selectors.get(selectorId(set.selector))
    if (selector === undefined) return
    selector.sets.delete(set.id)
    if (selector.sets.size === 0) this.#forget(selector)
  }

  /**
   * The members of a set in use, as of the last `flush`: prefixes (`10.65.0.2/32`) or, for a set with ports, `10.65.0.2/32,6,8080`.
   * Read-only; they change with the next `flush`.
   */
  members(id: string): ReadonlySet<string> {
    return this.#sets.get(id)?.members.members ?? NOTHING
  }

  /** Works in all that was told; resumes where the caller left it at a `yield`. Nothing may be told meanwhile. */
  *flush(): Generator<undefined, void> {
    this.#found.clear()
    yield* this.#findStale()
    for (const [id, given] of this.#pending) {
      this.#replace(id, given)
      yield
    }
    this.#pending.clear()
    for (const item of this.#stale) {
      this.#classify(item)
      yield
    }
    this.#stale.clear()
    this.#found.clear()
    for (const selector of this.#fresh) {
      if (!selector.isAsked) this.#ask(selector)
      for (const set of selector.sets.values()) if (!set.isFilled) yield* this.#fill(selector, set)
    }
    this.#fresh.clear()
  }

  /** What came and went in each set since the last time. */
  takeChanges(): ReadonlyMap<string, MemberChange> {
    const changes = new Map<string, MemberChange>()
    for (const members of this.#touched) {
      const change = members.takeChange()
      if (this.#sets.get(members.id)?.members === members && change.added.size + change.removed.size > 0) changes.set(members.id, change)
    }
    this.#touched.clear()
    return changes
  }

  /** Items of which more matters now than when they were classified. */
  *#findStale(): Generator<undefined, void> {
    const isNew = this.#relevance.takeNews()
    if (isNew === undefined) return
    for (const { labels, items } of this.#profiles.values()) if (isNew(labels)) for (const item of items) this.#stale.add(item)
    let count = 0
    for (const item of this.#items.values()) {
      if (isNew(item.given.labels)) this.#stale.add(item)
      if (++count % SCAN_STEP === 0) yield
    }
  }

  #replace(id: string, given: Labelled | undefined): void {
    const item = this.#items.get(id) ?? { given: EMPTY, class: undefined }
    // What it gave to the sets it is in must go as it came: by what it was.
    this.#leave(item)
    for (const name of item.given.profiles) this.#unlink(name, item)
    this.#stale.delete(item)
    if (given === undefined) {
      this.#items.delete(id)
      return
    }
    item.given = given
    for (const name of given.profiles) this.#profile(name).items.add(item)
    this.#items.set(id, item)
    this.#classify(item)
  }

  /** A profile that nobody has need not be remembered, unless it gives labels to whoever comes. */
  #unlink(name: string, item: Item): void {
    const profile = this.#profiles.get(name)
    profile?.items.delete(item)
    if (profile?.items.size === 0 && Object.keys(profile.labels).length === 0) this.#profiles.delete(name)
  }

  #profile(name: string): ProfileNode {
    const node = this.#profiles.get(name) ?? { labels: {}, items: new Set() }
    this.#profiles.set(name, node)
    return node
  }

  /** Puts an item to those that are like it. */
  #classify(item: Item): void {
    const next = this.#classOf(item)
    const before = item.class
    if (before === next) return
    for (const selector of next.selectors) {
      if (!before?.selectors.has(selector)) contributeToAll(selector, item.given, 'add')
    }
    for (const selector of before?.selectors ?? []) {
      if (!next.selectors.has(selector)) contributeToAll(selector, item.given, 'remove')
    }
    next.items.add(item)
    item.class = next
    if (before) this.#drop(before, item)
  }

  #leave(item: Item): void {
    const before = item.class
    if (before === undefined) return
    for (const selector of before.selectors) contributeToAll(selector, item.given, 'remove')
    item.class = undefined
    this.#drop(before, item)
  }

  /** Takes an item out of a class; an empty class ends. */
  #drop(before: LabelClass, item: Item): void {
    before.items.delete(item)
    if (before.items.size > 0) return
    this.#classes.delete(before.key)
    for (const term of termsOf(before)) removeFrom(this.#classesByTerm, term, before)
    for (const selector of before.selectors) selector.classes.delete(before)
  }

  /** Many have the very same labels and profiles: what they come to is found once in a `flush`. */
  #classOf(item: Item): LabelClass {
    const { labels, profiles } = item.given
    const found = this.#found.get(labels)?.get(profiles)
    if (found !== undefined && this.#classes.get(found.key) === found) return found
    const made = this.#findClass(item)
    const ofLabels = this.#found.get(labels) ?? new Map()
    this.#found.set(labels, ofLabels.set(profiles, made))
    return made
  }

  #findClass(item: Item): LabelClass {
    const labels = this.#project(item)
    const key = [...labels]
      .map(([label, value]) => termOf(label, value))
      .sort()
      .join('\n')
    const known = this.#classes.get(key)
    if (known) return known
    const made: LabelClass = { key, labels, items: new Set(), selectors: new Set() }
    this.#classes.set(key, made)
    for (const term of termsOf(made)) addTo(this.#classesByTerm, term, made)
    const candidates = new Set([...termsOf(made)].flatMap((term) => [...(this.#selectorsByTerm.get(term) ?? [])]))
    for (const selector of candidates) match(selector, made)
    for (const selector of this.#alwaysAsked) match(selector, made)
    return made
  }

  /** What the selectors in use see of an item's own and inherited labels: of several the first counts. */
  #project({ given }: Item): ReadonlyMap<string, string> {
    const labels = new Map<string, string>()
    const sources = [given.labels, ...given.profiles.map((name) => this.#profiles.get(name)?.labels ?? {})]
    for (const [i, source] of sources.entries()) {
      for (const label in source) {
        // Also a value that no selector sees hides those that come after it.
        if (sources.some((earlier, j) => j < i && Object.hasOwn(earlier, label))) continue
        const seen = this.#relevance.project(label, source[label] ?? '')
        if (seen !== undefined) labels.set(label, seen)
      }
    }
    return labels
  }

  #selectorOf(selector: Selector): ActiveSelector {
    const id = selectorId(selector)
    const known = this.#selectors.get(id)
    if (known) return known
    const made: ActiveSelector = { id, selector, classes: new Set(), isAsked: false, sets: new Map() }
    this.#selectors.set(id, made)
    this.#relevance.add(selector)
    return made
  }

  /** Asks a new selector about each class that it may match. */
  #ask(selector: ActiveSelector): void {
    selector.isAsked = true
    selector.cover = coverOf(selector.selector, (term) => this.#classesByTerm.get(term)?.size ?? 0)
    if (selector.cover === undefined) this.#alwaysAsked.add(selector)
    else for (const term of selector.cover) addTo(this.#selectorsByTerm, term, selector)
    const candidates =
      selector.cover === undefined
        ? this.#classes.values()
        : new Set(selector.cover.flatMap((term) => [...(this.#classesByTerm.get(term) ?? [])]))
    for (const candidate of candidates) match(selector, candidate)
  }

  *#fill(selector: ActiveSelector, set: SelectedSet): Generator<undefined, void> {
    set.isFilled = true
    let count = 0
    for (const { items } of selector.classes) {
      for (const { given } of items) {
        contribute(set, given, 'add')
        if (++count % SCAN_STEP === 0) yield
      }
    }
    yield
  }

  #forget(selector: ActiveSelector): void {
    this.#selectors.delete(selector.id)
    this.#fresh.delete(selector)
    this.#relevance.remove(selector.selector)
    this.#alwaysAsked.delete(selector)
    for (const term of selector.cover ?? []) removeFrom(this.#selectorsByTerm, term, selector)
    for (const one of selector.classes) one.selectors.delete(selector)
  }
}

const NOTHING: ReadonlySet<string> = new Set()
const EMPTY: Labelled = { labels: {}, profiles: [], addresses: [], ports: [] }
/** So many items are looked at between two `yield`s: some tens of microseconds. */
const SCAN_STEP = 256

function match(selector: ActiveSelector, one: LabelClass): void {
  if (!matchesSelector(selector.selector, (label) => one.labels.get(label))) return
  selector.classes.add(one)
  one.selectors.add(selector)
}

function contributeToAll(selector: ActiveSelector, given: Labelled, how: 'add' | 'remove'): void {
  for (const set of selector.sets.values()) if (set.isFilled) contribute(set, given, how)
}

function contribute({ port, members }: SelectedSet, { addresses, ports }: Labelled, how: 'add' | 'remove'): void {
  for (const address of addresses) {
    if (port === undefined) members[how](address)
    else
      for (const offered of namedPorts(ports.filter(({ name }) => name === port.name)))
        if (offered.protocol === port.protocol) members[how](portMember(address, offered))
  }
}

function portMember(address: string, { protocol, port }: Pick<ServicePort, 'protocol' | 'port'>): string {
  return `${address},${protocol},${port}`
}

function serviceMember(end: ServicePort, hasPorts: boolean): string {
  const address = `${end.address}/${end.address.includes(':') ? 128 : 32}`
  return hasPorts ? portMember(address, end) : address
}

function* termsOf({ labels }: LabelClass): Generator<Term> {
  for (const [label, value] of labels) {
    yield termOf(label, value)
    yield termOf(label)
  }
}

function addTo<T>(index: Map<Term, Set<T>>, term: Term, value: T): void {
  const known = index.get(term)
  if (known) known.add(value)
  else index.set(term, new Set([value]))
}

function removeFrom<T>(index: Map<Term, Set<T>>, term: Term, value: T): void {
  const known = index.get(term)
  known?.delete(value)
  if (known?.size === 0) index.delete(term)
}
