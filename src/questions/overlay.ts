import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import type { ResourceChange } from '../model/own/questions.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'

/** Resources as they would be after changes: of the kinds that change a copy, of all others the same maps. */
export function withChanges(maps: ResourceMaps, changes: readonly ResourceChange[]): ResourceMaps {
  const changed = new Map<ModelKind, Map<string, unknown>>()
  for (const { kind, id, resource } of changes) {
    const copy = changed.get(kind) ?? new Map<string, unknown>(maps.get(kind))
    changed.set(kind, copy)
    if (resource === undefined) copy.delete(id)
    else copy.set(id, resource)
  }
  const given = new Set(changes.map(({ kind, id }) => `${kind}/${id}`))
  return {
    ...(maps.unreadable && { unreadable: new Map([...maps.unreadable].filter(([key]) => !given.has(key))) }),
    // A copy holds what was in the map of its kind, and changes of that kind.
    get: <K extends ModelKind>(kind: K) => (changed.get(kind) as ReadonlyMap<string, ModelTypes[K]> | undefined) ?? maps.get(kind),
  }
}
