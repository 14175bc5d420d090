import { describeError } from '../errors.ts'
import { type Connection, isReplied } from '../kernel/conntrack/connection.ts'
import { listSockets } from '../kernel/sockets/sockets.ts'
import { type FlowsAnswer, readChanges, readFlowsQuestion } from '../model/own/questions.ts'
import { endpointChanges } from '../questions/endpoint-changes.ts'
import { cutFlows, type OpenFlow, placeFlow } from '../questions/open-flows.ts'
import type { AskedHost } from './asked-host.ts'
import { paced } from './paced.ts'

/** So many endpoints and connections are named in an answer; the others are counted. */
const MOST_NAMED = 200

/** Gives all that the kernel tracks. */
export type ListConnections = (signal: AbortSignal) => Promise<readonly Connection[]>

/** What changes would make of the policies of this host's endpoints, and of its open connections. */
export async function answerFlows(
  asked: AskedHost,
  listConnections: ListConnections,
  body: unknown,
  signal: AbortSignal,
): Promise<FlowsAnswer> {
  const changes = readChanges(readFlowsQuestion(body).changes)
  await asked.look(signal)
  const open = await openFlows(listConnections, signal)
  const ends = open.flows.flatMap(({ source, destination, translated }) => [source, destination, ...(translated ? [translated] : [])])
  const addresses = [...new Set(ends.map(({ address }) => address))]
  const compared = await asked.compare(changes, addresses, signal)
  const { policies, sources } = compared
  const pair = { before: policies.before.endpoints, after: policies.after.endpoints }
  const endpoints = await paced(endpointChanges(pair, sources, compared.changes), signal)
  const [own, links] = [asked.addresses, await asked.linksTo(addresses, signal)]
  const flows = open.flows.map((flow) => placeFlow(flow, own, links)).filter((flow) => flow !== undefined)
  const hosts = { before: policies.before.host, after: policies.after.host }
  const context = { hosts, sources, changes: compared.changes, revocation: asked.revocation }
  const { cut, tolerated, ...counts } = await paced(cutFlows(flows, context, endpoints, MOST_NAMED), signal)
  return {
    endpoints: endpoints.slice(0, MOST_NAMED),
    endpointsTotal: endpoints.length,
    ...{ cut: [...cut], tolerated: [...tolerated], ...counts },
    problems: [...open.problems, ...sources.after.read.problems],
  }
}

interface Open {
  readonly flows: readonly OpenFlow[]
  readonly problems: readonly string[]
}

/** Connections that the kernel tracks, and the host's own of TCP: before the first rule that asks for it the kernel tracks nothing. */
async function openFlows(listConnections: ListConnections, signal: AbortSignal): Promise<Open> {
  const problems: string[] = []
  const tracked = await listConnections(signal).catch((error: unknown) => {
    problems.push(`tracked connections are not known: ${describeError(error)}`)
    return []
  })
  const flows = new Map<string, OpenFlow>()
  for (const connection of tracked) {
    if (!isReplied(connection)) continue
    const flow = flowOf(connection)
    flows.set(keyOf(flow), flow)
  }
  const sockets = await listSockets(({ protocol, state }) => protocol === 6 && state !== 'other', signal)
  const listening = new Set(sockets.flatMap(({ state, local }) => (state === 'listening' ? [local.port] : [])))
  for (const { state, local, remote } of sockets) {
    if (state !== 'open') continue
    const ends = listening.has(local.port) ? { source: remote, destination: local } : { source: local, destination: remote }
    const flow = { protocol: 6, ...ends, isTracked: false }
    if (!flows.has(keyOf(flow))) flows.set(keyOf(flow), flow)
  }
  return { flows: [...flows.values()], problems }
}

/** A tracked connection as it was opened, with where NAT sends it. */
export function flowOf({ original, reply }: Connection): OpenFlow {
  const { source, destination, protocol, sourcePort, destinationPort, icmp } = original
  const end = { address: reply.source, port: reply.sourcePort }
  const isTranslated = end.address !== destination || end.port !== destinationPort
  return {
    protocol,
    source: { address: source, port: sourcePort },
    destination: { address: destination, port: destinationPort },
    ...(icmp === undefined ? {} : { icmp: { type: icmp.type, code: icmp.code } }),
    ...(isTranslated ? { translated: end } : {}),
  }
}

function keyOf({ protocol, source, destination }: OpenFlow): string {
  return `${protocol} ${source.address} ${source.port} ${destination.address} ${destination.port}`
}
