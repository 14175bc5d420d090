import type { ModelKind, ModelTypes } from '../model/kinds.ts'

/**
 * The store's content at one revision, one read-only map a kind. Ids: the resource's name, `<namespace>/<name>` for namespaced
 * kinds, the CIDR for IPAMBlock, the node's name for Live. Maps are not copied: they change only between passes.
 */
export interface View {
  readonly revision: number
  get<K extends ModelKind>(kind: K): ReadonlyMap<string, ModelTypes[K]>
}

/** One thing that is new, different or gone between two views. */
export interface Change {
  readonly kind: ModelKind
  readonly id: string
}
