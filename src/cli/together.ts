import type { ResourceKind } from '../model/kinds.ts'
import type { ResourceRef } from '../store/resource-store.ts'
import { MOST_OPERATIONS } from '../store/transaction.ts'
import { groupingStore } from './grouping-store.ts'
import { type Settled, settle } from './report.ts'
import type { Session } from './session.ts'

/** A resource has up to two keys that a transaction compares. */
const MOST_TOGETHER = MOST_OPERATIONS / 2

/** What is done with these looks at much else, or does several things one after the other. */
const ALONE: ReadonlySet<ResourceKind> = new Set<ResourceKind>(['ClusterInformation', 'IPPool', 'Node'])
/** Others look at whether these are there, so they are done with their own kind only. */
const AMONG_THEMSELVES: ReadonlySet<ResourceKind> = new Set<ResourceKind>(['Tier', 'Profile', 'WorkloadEndpoint'])

/** Something that is done with several resources. */
export interface Doing<T, R> {
  readonly items: readonly T[]
  refOf(item: T): ResourceRef
  act(session: Session, item: T): Promise<R>
}

/**
 * Does it in the given order, many at once where none needs what another writes: those share transactions. Gives what became of
 * them, group by group; the next group begins when it is asked for.
 */
export async function* doTogether<T, R>(session: Session, { items, refOf, act }: Doing<T, R>): AsyncGenerator<readonly Settled<T, R>[]> {
  for (const group of groupsOf(items, refOf)) {
    const storeAt = group.length === 1 ? () => session.store : groupingStore(session.store)
    yield await Promise.all(group.map((item, place) => settle(item, () => act({ ...session, store: storeAt(place) }, item))))
  }
}

function groupsOf<T>(items: readonly T[], refOf: (item: T) => ResourceRef): readonly (readonly T[])[] {
  const groups: T[][] = []
  let kinds: string | undefined
  let names = new Set<string>()
  for (const item of items) {
    const { kind, name, namespace } = refOf(item)
    const id = `${kind}/${namespace ?? ''}/${name}`
    const own = ALONE.has(kind) ? undefined : AMONG_THEMSELVES.has(kind) ? kind : 'any'
    const group = groups.at(-1)
    if (group !== undefined && own !== undefined && own === kinds && group.length < MOST_TOGETHER && !names.has(id)) {
      group.push(item)
      names.add(id)
    } else {
      groups.push([item])
      names = new Set([id])
    }
    kinds = own
  }
  return groups
}
