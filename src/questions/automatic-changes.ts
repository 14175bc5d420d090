import type { ResourceChange } from '../model/own/questions.ts'
import { autoChanges, planAutoHostEndpoints } from '../policy/auto-host-endpoints.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'

/** Whether hosts would make or remove host endpoints of their own for these changes. */
export function areAutomatic(changes: readonly ResourceChange[]): boolean {
  return changes.some(({ kind }) => kind === 'KubeControllersConfiguration')
}

/** The changes with what each host would do by itself for them: automatic host endpoints come and go with KubeControllersConfiguration. */
export function withAutomatic(maps: ResourceMaps, changes: readonly ResourceChange[]): readonly ResourceChange[] {
  const settings = changes.findLast(({ kind, id }) => kind === 'KubeControllersConfiguration' && id === 'default')
  if (settings === undefined) return changes
  const configuration = settings.resource?.kind === 'KubeControllersConfiguration' ? settings.resource : undefined
  const existing = maps.get('HostEndpoint')
  const ofHosts = [...maps.get('Node')].flatMap(([node, record]) => {
    const { create, update, remove } = autoChanges(node, planAutoHostEndpoints(record, configuration), existing)
    const put = [...create, ...update].map((resource): ResourceChange => ({ kind: 'HostEndpoint', id: resource.metadata.name, resource }))
    return [...put, ...remove.map(({ metadata }): ResourceChange => ({ kind: 'HostEndpoint', id: metadata.name, resource: undefined }))]
  })
  // What is written by hand in the same go stands.
  const given = new Set(changes.map(({ kind, id }) => `${kind} ${id}`))
  return [...changes.filter((change) => change !== settings), ...ofHosts.filter(({ kind, id }) => !given.has(`${kind} ${id}`))]
}
