import { ConflictError, ValidationError } from '../errors.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { decodeEntry } from '../model/codec.ts'
import { parseKey } from '../model/keys.ts'
import { RESOURCE_KINDS, type ResourceKind } from '../model/kinds.ts'
import type { ResourceChange } from '../model/own/questions.ts'
import type { Store } from '../store/store.ts'
import { dryRunStore } from './dry-run.ts'
import { type Doing, doTogether } from './together.ts'

/** What would be written, found by writing it where nobody sees it. */
export interface Rehearsal {
  /** In the order in which it would be written; of what is written twice the last. */
  readonly changes: readonly ResourceChange[]
  /** What could not be written, and why. */
  readonly faults: ReadonlyMap<unknown, Error>
}

/** Does to a copy of the store what would be done to each item. Only what is wrong with an item or in its way is taken for a fault of it. */
export async function rehearse<T>(store: Store, doing: Doing<T, unknown>): Promise<Rehearsal> {
  const dry = dryRunStore(store)
  const written = new Map<string, { readonly value: string; readonly modRevision: number } | undefined>()
  const noting: Store = {
    ...dry,
    commit: async (compares, writes, signal) => {
      const result = await dry.commit(compares, writes, signal)
      for (const write of result.isDone ? writes : []) {
        if ('put' in write) written.set(write.put, { value: write.value, modRevision: result.revision })
        else written.set(write.remove, undefined)
      }
      return result
    },
  }
  const session = { store: noting, ipam: createIpam({ store: noting, node: 'client', log: silentLogger }) }
  const faults = new Map<unknown, Error>()
  for await (const group of doTogether(session, doing)) {
    for (const one of group) {
      if ('given' in one) continue
      if (!(one.error instanceof ConflictError) && !(one.error instanceof ValidationError)) throw one.error
      faults.set(one.item, one.error)
    }
  }
  return { changes: [...written].flatMap(([key, entry]) => changeOf(key, entry)), faults }
}

function changeOf(key: string, entry: { readonly value: string; readonly modRevision: number } | undefined): readonly ResourceChange[] {
  const parsed = parseKey(key)
  if (parsed === undefined || !isResourceKind(parsed.kind)) return []
  const decoded = entry && decodeEntry(key, entry.value, entry.modRevision)
  // Of its own kind: a key of a resource holds nothing else.
  const resource = decoded?.value as ResourceChange['resource']
  return [{ kind: parsed.kind, id: decoded?.id ?? parsed.id, resource }]
}

function isResourceKind(kind: string): kind is ResourceKind {
  return (RESOURCE_KINDS as readonly string[]).includes(kind)
}
