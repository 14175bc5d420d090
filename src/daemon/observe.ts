import { setTimeout as delay } from 'node:timers/promises'
import { ValidationError } from '../errors.ts'
import { Pace } from '../kernel/pace.ts'
import type { ObservedReport, ObserveRequest } from '../model/own/observed.ts'
import { readChanges } from '../model/own/questions.ts'
import { endpointId } from '../policy/explain-host.ts'
import { interfacesOf, Observation } from '../questions/observed.ts'
import { placeFlow } from '../questions/open-flows.ts'
import { withChanges } from '../questions/overlay.ts'
import { policeHost } from '../questions/policed-host.ts'
import { flowOf, type ListConnections } from './answer-flows.ts'
import type { AskedHost } from './asked-host.ts'
import { paced } from './paced.ts'

/**
 * The kernel keeps a connection that has ended for 10 s at least (nf_conntrack_tcp_timeout_close), so that nothing is missed between two
 * looks, and no rule is needed that counts. Milliseconds.
 */
const LOOK_EVERY_MS = 2000

/** Looks at the connections of a while, and says what host endpoints that are not there yet would do with them. */
export async function observe(
  asked: AskedHost,
  listConnections: ListConnections,
  request: ObserveRequest,
  signal: AbortSignal,
): Promise<ObservedReport> {
  const changes = readChanges(request.changes)
  await asked.look(signal)
  const maps = withChanges(asked.maps, changes)
  const source = await asked.source(maps, signal)
  const ids = new Set(changes.flatMap(({ resource }) => (resource?.kind === 'HostEndpoint' ? [endpointId(resource)] : [])))
  const names = asked.interfaces.interfaces
    .map(({ name }) => name)
    .filter((name) => name !== 'lo' && !source.hosts.of(asked.node).isWorkloadInterface(name))
  const { host: first } = await paced(policeHost(source, asked.node, []), signal)
  const interfaces = interfacesOf(first, ids, names)
  if (interfaces.size === 0) throw new ValidationError(`${whyNone(ids)}: ${asked.node} has ${names.join(', ') || 'none'}`)
  const end = performance.now() + request.seconds * 1000
  const seen = new Map<string, ReturnType<typeof flowOf>>()
  for (;;) {
    for (const connection of await listConnections(signal))
      seen.set(`${connection.id} ${JSON.stringify(connection.original)}`, flowOf(connection))
    const leftMs = end - performance.now()
    if (leftMs <= 0) break
    await delay(Math.min(LOOK_EVERY_MS, leftMs), undefined, { signal })
  }
  // Judged at the end: who is in which set is looked up once, for the addresses that came.
  const flows = [...seen]
  const addresses = flows.flatMap(([, { source: from, destination, translated }]) => [
    from,
    destination,
    ...(translated ? [translated] : []),
  ])
  const ips = addresses.map(({ address }) => address)
  const { host } = await paced(policeHost(source, asked.node, ips), signal)
  const [own, links] = [asked.addresses, await asked.linksTo(ips, signal)]
  const observation = new Observation(source, host, interfaces)
  const pace = new Pace()
  for (const [key, flow] of flows) {
    const placed = placeFlow(flow, own, links)
    if (placed !== undefined) observation.note(key, placed)
    if (pace.isDue) await pace.giveWay()
  }
  const endpoints: Record<string, string[]> = {}
  for (const [name, id] of interfaces) endpoints[id] = [...(endpoints[id] ?? []), name]
  return { node: asked.node, seconds: request.seconds, endpoints, ...observation.report() }
}

function whyNone(ids: ReadonlySet<string>): string {
  return ids.size === 0 ? 'no host endpoint was given' : `no interface of this host is one of ${[...ids].join(', ')}`
}
