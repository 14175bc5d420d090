import { keyOf, type NftSet } from '../kernel/objects.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import type { AddressSet } from './address-set.ts'
import type { UsedSet } from './chains.ts'
import type { ChangeLog } from './change-log.ts'
import type { KeptObjects } from './kept-objects.ts'
import type { LabelIndex } from './label-index.ts'
import type { Members } from './members.ts'
import type { Shape } from './set-names.ts'
import { SetContent } from './sets.ts'

/** A set whose members are kept. */
interface KeptSet {
  readonly set: AddressSet
  readonly contents: Readonly<Record<Family, SetContent>>
  /** The families in which rules name it. */
  families: readonly Family[]
  /** Rules name it since before the last `settle`: who comes and goes may be decided about otherwise. */
  isSettled: boolean
  /** What stands for it in the rule set. */
  readonly objects: Map<Family, NftSet>
}

/** The sets of addresses that rules name, with their members, as objects of the rule set. */
export class KeptSets implements Members {
  readonly #members: LabelIndex
  readonly #objects: KeptObjects
  readonly #changes: Pick<ChangeLog, 'noteMembers'>
  readonly #sets = new Map<string, KeptSet>()
  /** Kept although no rule names them yet. */
  readonly #foreseen = new Set<string>()
  /** Those of which the object may be another. */
  readonly #touched = new Set<string>()

  constructor(members: LabelIndex, objects: KeptObjects, changes: Pick<ChangeLog, 'noteMembers'>) {
    this.#changes = changes
    this.#members = members
    this.#objects = objects
  }

  readonly shapeOf = (id: string, family: Family): Shape => this.#sets.get(id)?.contents[family].shape ?? 'empty'

  /** Of a set that no rule names, nobody is a member. */
  has(set: AddressSet, ip: Ip, protocol: number, port: number | undefined): boolean {
    return this.#sets.get(set.id)?.contents[familyOf(ip)].has(ip, protocol, port) ?? false
  }

  /** Begins to keep a set that rules are about to name, so that its shape is known when they are made. */
  foresee(set: AddressSet): void {
    if (this.#keep(set)) this.#foreseen.add(set.id)
  }

  /** Takes over which sets are named in which families; those foreseen and not named go. Gives whether any is new. */
  use(changes: ReadonlyMap<string, readonly UsedSet[]>): boolean {
    let isNew = false
    for (const [id, used] of changes) {
      const [first] = used
      if (first === undefined) this.#drop(id)
      else {
        if (this.#keep(first.set)) isNew = true
        this.#foreseen.delete(id)
        this.#touched.add(id)
        const kept = this.#sets.get(id)
        if (kept) kept.families = used.map(({ family }) => family)
      }
    }
    for (const id of this.#foreseen) this.#drop(id)
    this.#foreseen.clear()
    return isNew
  }

  /** Works in what came and went; gives the ids of the sets whose shape changed. */
  *fill(): Generator<undefined, ReadonlySet<string>> {
    yield* this.#members.flush()
    const changed = new Set<string>()
    for (const [id, change] of this.#members.takeChanges()) {
      const kept = this.#sets.get(id)
      if (kept === undefined) continue
      this.#touched.add(id)
      if (kept.isSettled) this.#changes.noteMembers(id, change)
      for (const family of FAMILIES) {
        const content = kept.contents[family]
        const before = content.shape
        yield* content.apply(change)
        if (content.shape !== before) changed.add(id)
      }
    }
    return changed
  }

  /** Puts the sets that changed to the objects. */
  settle(): void {
    for (const id of this.#touched) {
      const kept = this.#sets.get(id)
      if (kept === undefined) continue
      for (const family of FAMILIES) this.#settle(kept, family)
      kept.isSettled = true
    }
    this.#touched.clear()
  }

  #settle({ families, contents, objects }: KeptSet, family: Family): void {
    const content = contents[family]
    const before = objects.get(family)
    const now = families.includes(family) && content.shape !== 'empty' ? content.object : undefined
    if (now === before) return
    // With another shape it has another name.
    if (before && before.name !== now?.name) this.#objects.delete(keyOf.policy(before))
    if (now) {
      this.#objects.put(now)
      objects.set(family, now)
    } else objects.delete(family)
  }

  #keep(set: AddressSet): boolean {
    if (this.#sets.has(set.id)) return false
    this.#sets.set(set.id, {
      set,
      contents: { 4: new SetContent(set, 4), 6: new SetContent(set, 6) },
      families: [],
      isSettled: false,
      objects: new Map(),
    })
    this.#members.activate(set)
    return true
  }

  #drop(id: string): void {
    const kept = this.#sets.get(id)
    if (kept === undefined) return
    this.#sets.delete(id)
    this.#members.deactivate(kept.set)
    for (const object of kept.objects.values()) this.#objects.delete(keyOf.policy(object))
  }
}
