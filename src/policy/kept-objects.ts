import { keyOf, type NftObject } from '../kernel/objects.ts'

/** What is otherwise than before in a rule set. */
export interface ObjectDelta {
  readonly put: readonly NftObject[]
  /** Keys of what is not in it any more. */
  readonly remove: readonly string[]
}

/** The objects of a rule set, and what changed of them since somebody last asked. */
export class KeptObjects {
  readonly #objects = new Map<string, NftObject>()
  /** Of what was touched since: what it was. */
  readonly #before = new Map<string, NftObject | undefined>()

  /** All of them by the kernel's key; the map is live. */
  get all(): ReadonlyMap<string, NftObject> {
    return this.#objects
  }

  put(object: NftObject): void {
    const key = keyOf.policy(object)
    this.#touch(key)
    this.#objects.set(key, object)
  }

  delete(key: string): void {
    this.#touch(key)
    this.#objects.delete(key)
  }

  /** What came, is another object, or went since the last time; what came and went again is not told. */
  takeDelta(): ObjectDelta {
    const put: NftObject[] = []
    const remove: string[] = []
    for (const [key, before] of this.#before) {
      const now = this.#objects.get(key)
      if (now === before) continue
      if (now === undefined) remove.push(key)
      else put.push(now)
    }
    this.#before.clear()
    return { put, remove }
  }

  #touch(key: string): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#objects.get(key))
  }
}
