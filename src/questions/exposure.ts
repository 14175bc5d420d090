import { type Cidr, cidrContains, ipOf, rangeOf } from '../net/cidr.ts'
import { type Family, familyOf, formatIp, type Ip, parseIp } from '../net/ip.ts'
import { evaluatePath, type PolicedHost } from '../policy/evaluate-path.ts'
import { explainPath } from '../policy/explain.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'
import { labelledOf } from '../policy/labelled.ts'
import { describeAllowance, describeDenial } from './judge.ts'
import type { ExplainSource } from './known-host.ts'

/** From where something is looked at. */
export const VIEWPOINTS = ['world', 'hosts', 'workloads'] as const
export type Viewpoint = (typeof VIEWPOINTS)[number]

/** Whether something is reached: `some`: by some of those there. */
export interface Exposed {
  readonly verdict: 'yes' | 'no' | 'some' | 'nobody'
  /** Policy, failsafe or what else decides. */
  readonly because: string
}

/** Something of this host that can be reached, if policies let it. */
export interface Target {
  readonly protocol: number
  readonly port: number
  /** Addresses of the host under which it is reached. */
  readonly addresses: readonly Ip[]
  /** Where destination NAT sends it, and by which interface. */
  readonly translated?: { readonly address: Ip; readonly port: number; readonly link?: string | undefined } | undefined
}

/** An address from which something is looked at, and the interface by which its packets come. */
export interface Vantage {
  readonly address: Ip
  readonly link: string
}

/** More of one kind would only be alike. */
const MOST_VANTAGES = 20
/** Any of those that programs get. */
const SOME_PORT = 40_000

/** Whether a target is reached from these addresses: each is tried with each address of the target. */
export function exposure(source: ExplainSource, host: PolicedHost, target: Target, vantages: readonly Vantage[]): Exposed {
  const found = new Map<string, 'yes' | 'no'>()
  for (const { address, link } of vantages) {
    for (const destination of target.addresses) {
      if (familyOf(destination) !== familyOf(address) || destination === address) continue
      const { translated } = target
      const packet = {
        ...{ family: familyOf(address), protocol: target.protocol, inInterface: link, state: 'new' as const },
        source: { address, port: SOME_PORT },
        destination: { address: destination, port: target.port },
        ...(translated === undefined ? {} : { translated, outInterface: translated.link }),
      }
      const isOpen = evaluatePath(host, packet).verdict === 'allow'
      found.set(
        isOpen ? describeAllowance(explainPath(source, host, packet)) : describeDenial(explainPath(source, host, packet)),
        isOpen ? 'yes' : 'no',
      )
    }
  }
  const verdicts = new Set(found.values())
  const verdict = verdicts.size > 1 ? 'some' : ([...verdicts][0] ?? 'nobody')
  // Of `some` the reasons for which it is open are what somebody looks for.
  const reasons = [...found].flatMap(([because, one]) => (verdict === 'some' && one === 'no' ? [] : [because]))
  return { verdict, because: verdict === 'nobody' ? 'there is none' : reasons.join('; ') }
}

/** The addresses from which a host is looked at, before it is known by which interface they come. */
export function viewpoints(
  maps: ResourceMaps,
  node: string,
  underlays: ReadonlyMap<string, readonly Ip[]>,
): Readonly<Record<Viewpoint, readonly Ip[]>> {
  const hosts = [...underlays].filter(([name]) => name !== node).flatMap(([, ips]) => ips)
  const workloads = [...maps.get('WorkloadEndpoint').values()].flatMap(({ spec }) => (spec.ipNetworks ?? []).map(ipOf))
  const world = ([4, 6] as const).map((family) => strangerOf(maps, family)).filter((ip) => ip !== undefined)
  return { world, hosts: hosts.slice(0, MOST_VANTAGES), workloads: spread(workloads) }
}

/** Some of many, from all over the list. */
function spread(ips: readonly Ip[]): readonly Ip[] {
  const step = Math.max(1, Math.ceil(ips.length / MOST_VANTAGES))
  return ips.filter((_, index) => index % step === 0)
}

/** The first and the last address of a prefix that can be those of hosts. */
export function endsOf(cidr: Cidr): readonly Ip[] {
  const { family, first, last } = rangeOf(cidr)
  if (first === last) return [formatIp(family, first)]
  return [...new Set([formatIp(family, first + 1n), formatIp(family, last - (last - first > 2n ? 1n : 0n))])]
}

/** Addresses for documentation and testing (RFC 5737, RFC 2544, RFC 3849): nobody of the world has one, and so they stand for anybody. */
const STRANGERS: Readonly<Record<Family, readonly string[]>> = {
  4: ['203.0.113.201', '198.51.100.201', '192.0.2.201', '198.18.201.201', '198.19.201.201'],
  6: ['2001:db8:ffff:fff1::201', '2001:db8:eeee:fff1::201', '2001:db8:dddd:fff1::201', '100::201'],
}

/** An address that no set, pool or endpoint holds, unless by a prefix of everything. */
function strangerOf(maps: ResourceMaps, family: Family): Ip | undefined {
  const candidates = STRANGERS[family].map((text) => parseIp(text))
  const held = new Set<Ip>()
  const note = (cidr: Cidr) => {
    if (cidr.endsWith('/0')) return
    for (const ip of candidates) if (cidrContains(cidr, ip)) held.add(ip)
  }
  for (const { spec } of maps.get('IPPool').values()) note(spec.cidr)
  for (const kind of ['GlobalNetworkSet', 'NetworkSet', 'HostEndpoint', 'WorkloadEndpoint'] as const) {
    for (const resource of maps.get(kind).values()) for (const cidr of labelledOf(resource)?.addresses ?? []) note(cidr)
  }
  return candidates.find((ip) => !held.has(ip))
}
