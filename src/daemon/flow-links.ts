import { Pace } from '../kernel/pace.ts'
import type { Kernel } from '../kernel/table.ts'
import { ipOf, parseInterfaceAddress } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { LOOPBACK, type PolicedHost } from '../policy/evaluate-path.ts'
import type { Flow, LinkOf } from '../policy/flow.ts'
import type { HostFacts } from './host-facts.ts'
import type { PlanContext } from './plan-context.ts'

/** What tells by which interface an address is reached. */
export interface LinkSource {
  readonly context: Pick<PlanContext, 'view' | 'endpoints'>
  readonly facts: Pick<HostFacts, 'interfaces'>
  readonly kernel: Pick<Kernel, 'routeTo'>
  readonly host: Pick<PolicedHost, 'hostEndpoints' | 'wildcard'>
}

/** Stands for any interface of the host where none has an endpoint, so that it does not matter which. */
const SOME_LINK = '(some interface)'

/** Finds the interfaces of all ends of these flows: of local workloads, of the host itself, and by the kernel's routes where it matters. */
export async function findLinks(flows: readonly Flow[], source: LinkSource, signal: AbortSignal): Promise<LinkOf> {
  const links = localLinks(source)
  const { host, kernel } = source
  if (host.hostEndpoints.size === 0 && host.wildcard === undefined)
    return (ip) => links.get(ip) ?? (isLinkLocal(ip) ? undefined : SOME_LINK)
  const pace = new Pace()
  const asked = new Set<Ip>()
  for (const { original, reply } of flows) {
    for (const ip of [original.source, reply.source]) {
      if (links.has(ip) || asked.has(ip) || isLinkLocal(ip)) continue
      asked.add(ip)
      const route = await kernel.routeTo(ip, signal)
      if (route !== undefined) links.set(ip, route.link)
      if (pace.isDue) await pace.giveWay()
    }
  }
  return (ip) => links.get(ip)
}

/** The same address may be on every link (RFC 4291, section 2.5.6): no route tells which is meant. */
function isLinkLocal(ip: Ip): boolean {
  return ip.startsWith('fe') && /^fe[89ab]/.test(ip)
}

function localLinks({ context, facts }: LinkSource): Map<Ip, string> {
  const links = new Map<Ip, string>()
  const endpoints = context.view.get('WorkloadEndpoint')
  for (const id of context.endpoints) {
    const { ipNetworks = [], interfaceName } = endpoints.get(id)?.spec ?? {}
    if (interfaceName !== undefined) for (const network of ipNetworks) links.set(ipOf(network), interfaceName)
  }
  for (const { addresses } of facts.interfaces) {
    for (const { address } of addresses) links.set(ipOf(parseInterfaceAddress(address)), LOOPBACK)
  }
  return links
}
