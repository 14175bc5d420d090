import type { Selector } from '../model/selector-parse.ts'
import { type Mention, mentionsOf } from './selector-terms.ts'

/** What the selectors in use see of one label. */
interface Seen {
  readonly values: Map<string, number>
  presence: number
  text: number
}

/** A label's value where selectors only see that it is there. Nobody can write it. */
export const ANY_OTHER = '\u0000'

/**
 * What of all labels matters to the selectors in use. What they can't tell apart is projected on the same labels, so that each selector is
 * asked once for all endpoints that are alike to it: a hundred thousand endpoints are a few thousand kinds.
 */
export class LabelRelevance {
  readonly #labels = new Map<string, Seen>()
  /** What came to matter since `takeNews`: of these labels these values, or the label whatever its value. */
  #news = new Map<string, Set<string> | 'any'>()

  add(selector: Selector): void {
    for (const mention of mentionsOf(selector)) this.#count(mention, 1)
  }

  /** What was told apart stays so until the labels are projected anew: that is finer than needed, and right. */
  remove(selector: Selector): void {
    for (const mention of mentionsOf(selector)) this.#count(mention, -1)
  }

  /** What selectors see of a label with this value; undefined where they see nothing. */
  project(label: string, value: string): string | undefined {
    const seen = this.#labels.get(label)
    if (seen === undefined) return undefined
    if (seen.text > 0 || seen.values.has(value)) return value
    return seen.presence > 0 ? ANY_OTHER : undefined
  }

  /** Tells of labels whether more of them matters than at the last time; undefined if nothing does. */
  takeNews(): ((labels: Readonly<Record<string, string>>) => boolean) | undefined {
    const news = this.#news
    if (news.size === 0) return undefined
    this.#news = new Map()
    const isNew = (label: string, value: string | undefined) => {
      const values = value === undefined ? undefined : news.get(label)
      return values === 'any' || (values !== undefined && value !== undefined && values.has(value))
    }
    // A new policy mentions few labels, an endpoint has more.
    if (news.size <= MOST_LOOKUPS) return (labels) => [...news.keys()].some((label) => isNew(label, labels[label]))
    return (labels) => Object.entries(labels).some(([label, value]) => isNew(label, value))
  }

  #count({ label, sees, value }: Mention, by: 1 | -1): void {
    const seen = this.#labels.get(label) ?? { values: new Map(), presence: 0, text: 0 }
    this.#labels.set(label, seen)
    if (sees !== 'value') {
      seen[sees] += by
      if (by === 1 && seen[sees] === 1) this.#news.set(label, 'any')
    } else if (value !== undefined) {
      const count = (seen.values.get(value) ?? 0) + by
      if (count > 0) seen.values.set(value, count)
      else seen.values.delete(value)
      if (by === 1 && count === 1) this.#remember(label, value)
    }
    if (seen.values.size === 0 && seen.presence === 0 && seen.text === 0) this.#labels.delete(label)
  }

  #remember(label: string, value: string): void {
    const known = this.#news.get(label)
    if (known === 'any') return
    if (known) known.add(value)
    else this.#news.set(label, new Set([value]))
  }
}

const MOST_LOOKUPS = 6
