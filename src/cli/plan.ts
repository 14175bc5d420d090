import type { AnyResource, ResourceKind } from '../model/kinds.ts'
import { isAlike, type ResourceChange, readFlowsAnswer, sendChanges } from '../model/own/questions.ts'
import { areAutomatic, withAutomatic } from '../questions/automatic-changes.ts'
import { endpointChanges } from '../questions/endpoint-changes.ts'
import { createExplainSource } from '../questions/known-host.ts'
import { changesMore } from '../questions/open-flows.ts'
import { withChanges } from '../questions/overlay.ts'
import { finish, policeHost } from '../questions/policed-host.ts'
import { readView } from '../store/read-view.ts'
import { getResource, listResources } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import type { MutableView } from '../store/view.ts'
import { askKind } from './ask-hosts.ts'
import type { Plan, PlannedHost, PlannedResource } from './plan-render.ts'

/** Kinds that decide about packets. */
const DECIDING: ReadonlySet<ResourceKind> = new Set<ResourceKind>([
  ...(['GlobalNetworkPolicy', 'NetworkPolicy', 'StagedGlobalNetworkPolicy', 'StagedNetworkPolicy'] as const),
  ...(['StagedKubernetesNetworkPolicy', 'Tier', 'Profile', 'GlobalNetworkSet', 'NetworkSet', 'Service'] as const),
  ...(['WorkloadEndpoint', 'HostEndpoint', 'FelixConfiguration', 'KubeControllersConfiguration'] as const),
])

const READ_AT_ONCE = 64

/** What changes would do: to resources, and on each host to its endpoints and to connections that are open. */
export async function makePlan(store: Store, changes: readonly ResourceChange[], signal: AbortSignal): Promise<Plan> {
  const compared: (readonly [ResourceChange, AnyResource | undefined])[] = []
  for (let at = 0; at < changes.length; at += READ_AT_ONCE) {
    const some = changes.slice(at, at + READ_AT_ONCE)
    compared.push(...(await Promise.all(some.map(async (change) => [change, await storedOf(store, change, signal)] as const))))
  }
  const resources = compared.map(([change, stored]) => describeResource(change, stored))
  const deciding = compared.filter(([{ kind }], index) => DECIDING.has(kind) && resources[index]?.becomes !== 'unchanged')
  if (deciding.length === 0) return { resources, hosts: [], asked: 0, answered: 0, cut: 0, tolerated: 0, wouldCut: false }
  const nodes = await listResources(store, { kind: 'Node' }, signal)
  const read = [...nodes.resources, ...compared.flatMap(([, stored]) => stored ?? [])]
  // Hosts follow resources only: a revision that a lease or a question made they never reach.
  const revision = Math.max(0, ...read.map(({ metadata }) => Number(metadata.resourceVersion ?? 0)))
  const names = new Set(nodes.resources.map(({ metadata }) => metadata.name))
  const decisive = deciding.map(([change]) => change)
  const effective = areAutomatic(decisive) ? withAutomatic(await readView(store, signal), decisive) : decisive
  const hosts = await planHosts(store, { changes: effective, revision, nodes: names }, signal)
  const cut = hosts.reduce((sum, { changes: { cutTotal = 0 } }) => sum + cutTotal, 0)
  const tolerated = hosts.reduce((sum, { changes: { toleratedTotal = 0 } }) => sum + toleratedTotal, 0)
  const answered = hosts.filter(({ basis }) => basis === 'host').length
  const wouldCut = cut > 0 || hosts.some(({ countsAsCut }) => countsAsCut)
  return { resources, hosts, asked: hosts.length, answered, cut, tolerated, wouldCut }
}

async function storedOf(store: Store, { kind, id }: ResourceChange, signal: AbortSignal): Promise<AnyResource | undefined> {
  const slash = id.indexOf('/')
  const ref = slash < 0 ? { kind, name: id } : { kind, name: id.slice(slash + 1), namespace: id.slice(0, slash) }
  return getResource(store, ref, signal)
}

function describeResource({ kind, id, resource }: ResourceChange, stored: AnyResource | undefined): PlannedResource {
  const slash = id.indexOf('/')
  const name = { name: id.slice(slash + 1), ...(slash < 0 ? {} : { namespace: id.slice(0, slash) }) }
  const becomes =
    resource === undefined ? 'deleted' : stored === undefined ? 'created' : isAlike(stored, resource) ? 'unchanged' : 'updated'
  const [had, has] = [netsOf(stored), netsOf(resource)]
  const added = [...has].filter((net) => !had.has(net))
  const removed = [...had].filter((net) => !has.has(net))
  return { kind, ...name, becomes, ...(added.length + removed.length === 0 ? {} : { nets: { added, removed } }) }
}

function netsOf(resource: AnyResource | undefined): ReadonlySet<string> {
  return new Set(resource?.kind === 'GlobalNetworkSet' || resource?.kind === 'NetworkSet' ? resource.spec.nets : [])
}

interface HostsQuestion {
  readonly changes: readonly ResourceChange[]
  readonly revision: number
  readonly nodes: ReadonlySet<string>
}

async function planHosts(store: Store, { changes, revision, nodes }: HostsQuestion, signal: AbortSignal): Promise<readonly PlannedHost[]> {
  const body = { changes: sendChanges(changes) }
  const { answers, silent } = await askKind(store, { kind: 'flows', body, revision, nodes }, readFlowsAnswer, signal)
  const heard = [...answers].map(([node, answer]): PlannedHost => ({ node, basis: 'host', countsAsCut: false, changes: answer }))
  const view = silent.size === 0 ? undefined : await readView(store, signal)
  const guessed = view === undefined ? [] : [...silent].map(([node, because]) => planFromStore(view, changes, { node, because }))
  return [...heard, ...guessed].sort((a, b) => (a.node < b.node ? -1 : 1))
}

/** Nobody knows the connections of a host that is not heard: they count as cut, unless it has nothing that the changes are for. */
function planFromStore(
  view: MutableView,
  changes: readonly ResourceChange[],
  { node, because }: { readonly node: string; readonly because: string },
): PlannedHost {
  const sources = { before: createExplainSource(view), after: createExplainSource(withChanges(view, changes)) }
  const [before, after] = [finish(policeHost(sources.before, node, [])), finish(policeHost(sources.after, node, []))]
  const endpoints = finish(endpointChanges({ before: before.endpoints, after: after.endpoints }, sources, changes))
  const hasEndpoints = before.endpoints.size + after.endpoints.size > 0
  const answer: PlannedHost['changes'] = { endpoints: [...endpoints], endpointsTotal: endpoints.length, problems: [] }
  return { node, basis: 'store', because, countsAsCut: hasEndpoints && (endpoints.length > 0 || changesMore(changes)), changes: answer }
}
