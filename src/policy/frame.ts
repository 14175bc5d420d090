import type { NftChain, NftHook, NftMatch, NftObject, NftRule, NftSet } from '../kernel/objects.ts'
import { type Cidr, parseCidrLoosely } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { withoutCovered } from '../net/prefix-set.ts'

/** What decides the frame: the chains that the kernel calls, and the little that is in them before there is any policy. */
export interface FrameInput {
  /** Underlay addresses of all known hosts, this one's too. Taken as they are: with thousands of hosts a copy would cost. */
  readonly hosts: Readonly<Record<Family, ReadonlySet<Ip>>>
  /** Further senders of tunnel packets (FelixConfiguration externalNodesList): addresses or prefixes. */
  readonly externalHosts: readonly string[]
  /** Absent where no tunnel uses VXLAN. */
  readonly vxlan: { readonly port: number; readonly isAllowedFromWorkloads: boolean } | undefined
  /** The host did not forward before margay came: then it forwards for our interfaces, and other programs' guests, only. */
  readonly forwardOnlyOurs: boolean
  /** Names of workloads' interfaces; a trailing `*` is a wildcard. */
  readonly workloadInterfaces: readonly string[]
  /** Names of tunnel devices; a trailing `*` is a wildcard. */
  readonly tunnelInterfaces: readonly string[]
  /** Names of interfaces of other programs that forward for their own guests; a trailing `*` is a wildcard. */
  readonly otherInterfaces: readonly string[]
}

/** The sets of all hosts' underlay addresses, by family. */
export const HOST_SETS: Readonly<Record<Family, string>> = { 4: 'hosts4', 6: 'hosts6' }

/** The interfaces that margay makes (ARCHITECTURE.md, section 4). */
export const WORKLOAD_INTERFACES: readonly string[] = ['mgy*']
export const TUNNEL_INTERFACES: readonly string[] = ['margay.*']

/**
 * Interfaces of other programs that forward for guests of their own: Docker, Podman, CNI, libvirt, LXC, LXD, Incus, virtual machines and
 * VPNs. They turn forwarding on when they start and find it on already, so it must not look as if the host had never wanted theirs.
 */
export const OTHER_NETWORKS: readonly string[] = 'docker br- podman cni virbr vnet lxcbr lxdbr incusbr veth tap tun wg tailscale'
  .split(' ')
  .map((prefix) => `${prefix}*`)

const RECEIVED_CHAIN = 'tunnel-received'
const SENT_CHAIN = 'tunnel-sent'
const UDP = 17
const RAW_PRIORITY = -300
const FILTER_PRIORITY = 0

/**
 * The base chains of `inet margay` that have something to do. They take in tunnel packets from
 * known hosts only, let no workload send any, and keep a host from becoming a router for others than us.
 */
export function planFrame(input: FrameInput): readonly NftObject[] {
  const external = externalSets(input.externalHosts)
  const senders = [...FAMILIES.map((family) => ({ family, name: HOST_SETS[family] })), ...external]
  return [
    ...hostSets(input.hosts),
    ...external,
    ...tunnelChains(senders, input),
    ...baseChain('filter-forward', 'forward', FILTER_PRIORITY, forwardRules(input)),
  ]
}

/** One set that a tunnel packet's other end may be in. */
interface Senders {
  readonly name: string
  readonly family: Family
}

function hostSets(hosts: FrameInput['hosts']): readonly NftSet[] {
  return FAMILIES.map((family) => ({ kind: 'set', name: HOST_SETS[family], family, isInterval: false, elements: hosts[family] }))
}

function externalSets(externalHosts: readonly string[]): readonly NftSet[] {
  const prefixes: readonly Cidr[] = withoutCovered(externalHosts.map(parseCidrLoosely))
  return FAMILIES.flatMap((family) => {
    const elements = new Set<string>(prefixes.filter((cidr) => familyOf(cidr) === family))
    return elements.size === 0 ? [] : [{ kind: 'set', name: `external-hosts${family}`, family, isInterval: true, elements } as const]
  })
}

/**
 * What judges tunnel packets, in the first chain that sees them: before anything that accepts what is established, so that an address
 * that is taken out of the set is shut out at once. In chains of their own, because each rule more of a base chain is paid for each
 * packet of a workload. Only between hosts that we know nothing is tracked, which would double the cost of a packet: for others port 4789
 * may be any port, and translated answers must find their way back.
 */
function tunnelChains(senders: readonly Senders[], { vxlan, workloadInterfaces }: FrameInput): readonly NftChain[] {
  if (!vxlan) return []
  const untracked = (on: 'saddr' | 'daddr'): readonly NftRule[] =>
    senders.map(({ name, family }) => ({ matches: [{ on, set: name, family }], verdict: { do: 'notrack' } }))
  const received = [
    ...(vxlan.isAllowedFromWorkloads ? [] : workloadInterfaces.map(dropWorkload)),
    ...untracked('saddr'),
    { matches: [{ on: 'daddr-type', value: 'local' }], verdict: { do: 'drop' }, isCounted: true } as const,
  ]
  const toChain = (chain: string): readonly NftRule[] => [{ matches: toVxlan(vxlan.port), verdict: { do: 'goto', chain } }]
  return [
    { kind: 'chain', name: RECEIVED_CHAIN, rules: received },
    { kind: 'chain', name: SENT_CHAIN, rules: untracked('daddr') },
    ...baseChain('raw-prerouting', 'prerouting', RAW_PRIORITY, toChain(RECEIVED_CHAIN)),
    ...baseChain('raw-output', 'output', RAW_PRIORITY, toChain(SENT_CHAIN)),
  ]
}

/** A workload that could send tunnel packets would be in every other workload's network behind all policy, whatever address it gives. */
function dropWorkload(value: string): NftRule {
  return { matches: [{ on: 'iifname', value }], verdict: { do: 'drop' }, isCounted: true }
}

function forwardRules({ forwardOnlyOurs, workloadInterfaces, tunnelInterfaces, otherInterfaces }: FrameInput): readonly NftRule[] {
  if (!forwardOnlyOurs) return []
  const forwarded = [...workloadInterfaces, ...tunnelInterfaces, ...otherInterfaces]
  const matches = forwarded.flatMap((value): NftMatch[] => [
    { on: 'iifname', value, negate: true },
    { on: 'oifname', value, negate: true },
  ])
  return [{ matches, verdict: { do: 'drop' }, isCounted: true }]
}

function toVxlan(port: number): readonly NftMatch[] {
  return [
    { on: 'protocol', value: UDP },
    { on: 'dport', value: port },
  ]
}

/** Nothing where there are no rules: each packet would pay for the call of an empty chain. */
function baseChain(name: string, hook: NftHook['hook'], priority: number, rules: readonly NftRule[]): readonly NftChain[] {
  return rules.length === 0 ? [] : [{ kind: 'chain', name, hook: { type: 'filter', hook, priority }, rules }]
}
