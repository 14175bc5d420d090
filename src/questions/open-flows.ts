import type { CutFlow, EndpointChange, ResourceChange, ToleratedFlow } from '../model/own/questions.ts'
import type { Ip } from '../net/ip.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import { LABELLED_KINDS } from '../policy/labelled.ts'
import type { Compared } from './endpoint-changes.ts'
import { type HostFlow, whyDenied } from './judge.ts'
import type { ExplainSource } from './known-host.ts'
import { type Revocation, Toleration } from './tolerated.ts'

/** An open connection as somebody on the host tells it, before it is known how it passes the host. */
export interface OpenFlow {
  readonly protocol: number
  readonly source: { readonly address: Ip; readonly port?: number | undefined }
  readonly destination: { readonly address: Ip; readonly port?: number | undefined }
  readonly icmp?: { readonly type: number; readonly code: number } | undefined
  readonly translated?: { readonly address: Ip; readonly port?: number | undefined } | undefined
  /** The kernel's connection tracking knows it, unless this is false. */
  readonly isTracked?: boolean | undefined
}

/** How a connection passes the host; undefined where it does not leave it, or nobody knows where it goes. */
export function placeFlow(flow: OpenFlow, own: ReadonlySet<Ip>, links: ReadonlyMap<Ip, string>): HostFlow | undefined {
  const end = (flow.translated ?? flow.destination).address
  const [isSent, isDelivered] = [own.has(flow.source.address), own.has(end)]
  const received = isSent ? undefined : links.get(flow.source.address)
  const sent = isDelivered ? undefined : links.get(end)
  if (received === undefined && sent === undefined) return undefined
  return { ...flow, in: received, out: sent }
}

/** What is cut and what is tolerated, and of how many. */
export interface JudgedFlows {
  readonly cut: readonly CutFlow[]
  readonly cutTotal: number
  readonly tolerated: readonly ToleratedFlow[]
  readonly toleratedTotal: number
  readonly checked: number
}

/** Finds the connections that get through now and would not after the changes; the first `most` of each sort are told. */
export function* cutFlows(
  flows: readonly HostFlow[],
  { hosts, sources, changes, revocation }: FlowContext,
  endpoints: readonly EndpointChange[],
  most: number,
): Generator<undefined, JudgedFlows> {
  const touched = touchedInterfaces(hosts, changes, endpoints)
  const toleration = new Toleration(hosts, revocation)
  const [cut, tolerated] = [[] as CutFlow[], [] as ToleratedFlow[]]
  let [cutTotal, toleratedTotal] = [0, 0]
  for (const flow of flows) {
    yield
    if (touched !== undefined && ![flow.in, flow.out].some((name) => name !== undefined && touched.has(name))) continue
    const because = whyDenied(sources.after, hosts.after, flow)
    if (because === undefined || whyDenied(sources.before, hosts.before, flow) !== undefined) continue
    const { source, destination, protocol, icmp } = flow
    const denied = { source, destination, protocol, ...(icmp === undefined ? {} : { icmp }), because }
    const goesOn = toleration.whyGoesOn(flow)
    if (goesOn !== undefined) {
      toleratedTotal++
      if (tolerated.length < most) tolerated.push({ ...denied, goesOn })
    } else {
      cutTotal++
      if (cut.length < most) cut.push(denied)
    }
  }
  return { cut, cutTotal, tolerated, toleratedTotal, checked: flows.length }
}

/** What connections are judged by. */
export interface FlowContext {
  readonly hosts: Compared<PolicedHost>
  readonly sources: Compared<ExplainSource>
  readonly changes: readonly ResourceChange[]
  readonly revocation: Revocation
}

/** Kinds by which only the lists of endpoints change: who is in which set stays, and so does all else. */
const LIST_KINDS: ReadonlySet<string> = new Set([
  ...['GlobalNetworkPolicy', 'NetworkPolicy', 'StagedGlobalNetworkPolicy', 'StagedNetworkPolicy', 'StagedKubernetesNetworkPolicy', 'Tier'],
])

/** The interfaces whose packets may be judged otherwise; undefined: of all. */
function touchedInterfaces(
  { before, after }: Compared<PolicedHost>,
  changes: readonly ResourceChange[],
  endpoints: readonly EndpointChange[],
): ReadonlySet<string> | undefined {
  if (!changes.every(({ kind }) => LIST_KINDS.has(kind))) return undefined
  const ids = new Set(endpoints.map(({ endpoint }) => endpoint))
  if ([before.wildcard, after.wildcard].some((one) => one !== undefined && ids.has(one.id))) return undefined
  const all = [before.workloads, after.workloads, before.hostEndpoints, after.hostEndpoints].flatMap((map) => [...map])
  return new Set(all.flatMap(([name, { id }]) => (ids.has(id) ? [name] : [])))
}

/** Whether changes may alter who is in a set, or how the host judges altogether: beside the lists of its endpoints. */
export function changesMore(changes: readonly ResourceChange[]): boolean {
  const kinds: readonly string[] = [...LABELLED_KINDS, 'Profile', 'Service', 'FelixConfiguration', 'Node']
  return changes.some(({ kind }) => kinds.includes(kind))
}
