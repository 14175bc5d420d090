/** So many are remembered; then it begins anew, and what was given out stays what it is. */
const MOST = 8192

/**
 * Gives equal parts of many resources as one: a hundred thousand endpoints have a few thousand sets of labels, lists of profiles and
 * names of hosts. What it gives is frozen, for others have it too.
 */
export class SharedParts {
  readonly #parts = new Map<string, object | string>()

  /** A text that many have. */
  text<T extends string | undefined>(text: T): T {
    return text === undefined ? text : (this.#known(`"${text}`, text) as T)
  }

  /** A list or an object that was read from JSON. */
  part<T extends object | undefined>(part: T): T {
    return part === undefined ? part : (this.#known(JSON.stringify(part), part) as T)
  }

  #known(key: string, part: object | string): object | string {
    const known = this.#parts.get(key)
    if (known !== undefined) return known
    if (this.#parts.size >= MOST) this.#parts.clear()
    this.#parts.set(key, freeze(part))
    return part
  }
}

function freeze<T>(part: T): T {
  if (typeof part === 'object' && part !== null) for (const member of Object.values(part)) freeze(member)
  return Object.freeze(part)
}
