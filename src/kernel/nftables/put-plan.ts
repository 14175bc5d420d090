import { KernelError } from '../../errors.ts'
import { missingFrom } from '../../net/shared-set.ts'
import type { NftChain, NftObject, NftSet } from '../objects.ts'
import { chainOf, closedForm, findReference, keyOfElement } from './references.ts'
import { HELD, type Known } from './state.ts'

/** An object was not tried, because it refers to one that was refused; the cause says why, where it is known. */
export class RefersToRefused extends KernelError {
  readonly key: string

  constructor(own: string, key: string, cause: KernelError | undefined) {
    const refers = `could not put ${JSON.stringify(own)}: it refers to ${JSON.stringify(key)}`
    super(cause === undefined ? `${refers}, which is missing` : `${refers}, which was refused`, cause && { cause })
    this.key = key
  }
}

/** Of a map some elements are not as they should be: they lead to chains that were refused. */
export class ElementsLeftOut extends KernelError {
  /** Those that were not there before: a miss drops. */
  readonly closed: readonly string[]

  constructor(keys: readonly string[], closed: readonly string[], cause: KernelError | undefined) {
    const shown =
      keys.length > MOST_NAMED ? `${keys.slice(0, MOST_NAMED).join(', ')} and ${keys.length - MOST_NAMED} more` : keys.join(', ')
    super(`${shown}: the rules that they lead to were refused; what was there stays as it was, what is new is closed`, cause && { cause })
    this.closed = closed
  }
}

const MOST_NAMED = 5

/**
 * What of some puts the kernel can take: what was refused is left out with all that refers to it, and no more. Two kinds of objects stand
 * in the way of no other, because a miss drops, or something closed stands in their place: of a map of interfaces only those elements are
 * left out that lead to refused chains (each leads on to where it led before, if it led anywhere), and a chain with `otherwise` keeps the
 * rules that it has, or gets these.
 */
export class PutPlan {
  /** What is to be tried; some of it in another form than was wanted. */
  readonly pending: Map<string, NftObject>
  readonly failures = new Map<string, KernelError>()
  /** What is not as it should be: nothing new may come to refer to it. */
  readonly #refused: Map<string, KernelError>

  /** `refused` is kept by the caller from one time to the next. */
  constructor(wanted: ReadonlyMap<string, NftObject>, refused: Map<string, KernelError>) {
    this.pending = new Map(wanted)
    this.#refused = refused
  }

  /** The kernel refused these. */
  refuse(errors: ReadonlyMap<string, KernelError>, known: Known): void {
    for (const [key, error] of errors) {
      const object = this.pending.get(key)
      if (object !== undefined) this.#fail(key, object, error, known)
    }
  }

  /** Takes out what refers to what is neither there nor to be tried. */
  leaveOut(known: Known): void {
    for (let isChanged = true; isChanged; ) {
      isChanged = false
      for (const [key, object] of this.pending) {
        if (isInterfaceMap(object)) isChanged = this.#narrow(key, object, known) || isChanged
        else if (this.#failUnlessComplete(key, object, known)) isChanged = true
      }
    }
  }

  /** All of what is pending was done. */
  done(): void {
    for (const key of this.pending.keys()) if (!this.failures.has(key)) this.#refused.delete(key)
  }

  #failUnlessComplete(key: string, object: NftObject, known: Known): boolean {
    const reference = findReference(object, (kind, name) => this.#isMissing(kind, name, known))
    if (reference === undefined) return false
    this.#fail(key, object, new RefersToRefused(key, reference, this.#refused.get(reference)), known)
    return true
  }

  #isMissing(kind: NftObject['kind'], name: string, known: Known): boolean {
    if (this.#refused.size === 0 && known[HELD[kind]].has(name)) return false
    const key = `${kind} ${name}`
    return !this.pending.has(key) && (this.#refused.has(key) || !known[HELD[kind]].has(name))
  }

  #fail(key: string, object: NftObject, error: KernelError, known: Known): void {
    if (!this.failures.has(key)) this.failures.set(key, error)
    this.pending.delete(key)
    if (object.kind === 'chain' && object.otherwise !== undefined) this.#close(key, object, known)
    else if (!isInterfaceMap(object) || !isThere(object, known)) this.#refused.set(key, error)
  }

  #close(key: string, chain: NftChain, known: Known): void {
    if (isThere(chain, known)) return
    const closed = closedForm(chain)
    if (closed !== undefined) this.pending.set(key, closed)
  }

  /** Gives whether the map is another now. */
  #narrow(key: string, map: NftSet, known: Known): boolean {
    const there = known.sets.get(map.name)?.elements ?? NOTHING
    const left = missingFrom(there, map.elements).filter((element) => this.#isMissing('chain', chainOf(element), known))
    if (left.length === 0) return false
    const names = new Set(left.map(keyOfElement))
    const kept = [...there].filter((element) => names.has(keyOfElement(element)))
    const out = new Set(left)
    this.pending.set(key, { ...map, elements: new Set([...[...map.elements].filter((element) => !out.has(element)), ...kept]) })
    const stays = new Set(kept.map(keyOfElement))
    const closed = [...names].filter((name) => !stays.has(name))
    this.failures.set(key, new ElementsLeftOut([...names], closed, this.#refused.get(`chain ${chainOf(left[0] ?? '')}`)))
    return true
  }
}

const NOTHING: ReadonlySet<string> = new Set()

function isInterfaceMap(object: NftObject): object is NftSet {
  return object.kind === 'set' && object.isMap === true && object.key === 'interface'
}

function isThere({ kind, name }: NftObject, known: Known): boolean {
  return known[HELD[kind]].has(name)
}
