import type { NftChain, NftHook, NftMatch, NftObject, NftRule, NftSet } from '../kernel/objects.ts'
import { type Cidr, parseCidrLoosely } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { withoutCovered } from '../net/prefix-set.ts'
import { planSenders, type Senders, toSenders } from './anti-spoofing.ts'

/** What decides the frame: the chains that the kernel calls, and the little that is in them before there is any policy. */
export interface FrameInput {
  /** Underlay addresses of all known hosts, this one's too. Taken as they are: with thousands of hosts a copy would cost. */
  readonly hosts: Readonly<Record<Family, ReadonlySet<Ip>>>
  /** Further senders of tunnel packets (FelixConfiguration externalNodesList): addresses or prefixes. */
  readonly externalHosts: readonly string[]
  /** Absent where no tunnel uses VXLAN. */
  readonly vxlan: { readonly port: number; readonly isAllowedFromWorkloads: boolean } | undefined
  /** Absent where no tunnel uses IP-in-IP. */
  readonly ipip?: { readonly isAllowedFromWorkloads: boolean } | undefined
  /** From where workloads of this host may send; absent where there are none. */
  readonly senders?: Senders | undefined
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

/** The set of other senders of tunnel packets; only where there are any. */
export function externalSetName(family: Family): string {
  return `external-hosts${family}`
}

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

const SENT_CHAIN = 'tunnel-sent'
const IPIP = 4
const UDP = 17
const RAW_PRIORITY = -300
const FILTER_PRIORITY = 0

/**
 * The base chains of `inet margay` that have something to do. They take in tunnel packets from
 * known hosts only, let no workload send any, or anything in another's name, and keep a host from becoming a router for others than us.
 */
export function planFrame(input: FrameInput): readonly NftObject[] {
  const external = externalSets(input.externalHosts)
  const known = [...FAMILIES.map((family) => ({ family, name: HOST_SETS[family] })), ...external]
  return [
    ...hostSets(input.hosts),
    ...external,
    ...rawChains(known, input),
    ...baseChain('filter-forward', 'forward', FILTER_PRIORITY, forwardRules(input)),
    TRACKING,
  ]
}

/**
 * Nobody calls it. The kernel begins to track connections when a rule of any chain asks for their state: with a first host endpoint that
 * would be too late, for every connection that stands by then would look like a new one.
 */
const TRACKING: NftChain = {
  kind: 'chain',
  name: 'tracking',
  rules: [{ matches: [{ on: 'ct-state', value: ['established'] }], verdict: { do: 'return' } }],
}

/** One set that a tunnel packet's other end may be in. */
interface HostSet {
  readonly name: string
  readonly family: Family
}

function hostSets(hosts: FrameInput['hosts']): readonly NftSet[] {
  return FAMILIES.map((family) => ({ kind: 'set', name: HOST_SETS[family], family, isInterval: false, elements: hosts[family] }))
}

/** Of addresses or prefixes. */
export function externalSets(externalHosts: readonly string[]): readonly NftSet[] {
  const prefixes: readonly Cidr[] = withoutCovered(externalHosts.map(parseCidrLoosely))
  return FAMILIES.flatMap((family) => {
    const elements = new Set<string>(prefixes.filter((cidr) => familyOf(cidr) === family))
    return elements.size === 0 ? [] : [{ kind: 'set', name: externalSetName(family), family, isInterval: true, elements } as const]
  })
}

/** A tunnel of which packets are judged: what they are, and whether workloads may send such. */
interface TunnelKind {
  readonly chain: string
  readonly matches: readonly NftMatch[]
  readonly isAllowedFromWorkloads: boolean
}

function tunnelKinds({ vxlan, ipip }: FrameInput): readonly TunnelKind[] {
  return [
    ...(vxlan ? [{ ...vxlan, chain: 'tunnel-received', matches: toVxlan(vxlan.port) }] : []),
    ...(ipip ? [{ ...ipip, chain: 'ipip-received', matches: [{ on: 'protocol', value: IPIP }] as const }] : []),
  ]
}

/**
 * What judges tunnel packets, in the first chain that sees them: before anything that accepts what is established, so that an address
 * that is taken out of the set is shut out at once. In chains of their own, because each rule more of a base chain is paid for each
 * packet of a workload. Only between hosts that we know nothing is tracked, which would double the cost of a packet: for others port 4789
 * may be any port, and translated answers must find their way back. Behind them stands what asks workloads who they are.
 */
function rawChains(hosts: readonly HostSet[], input: FrameInput): readonly NftObject[] {
  const { senders, workloadInterfaces } = input
  const tunnels = tunnelKinds(input)
  const checks = senders === undefined ? [] : toSenders(workloadInterfaces)
  const toChain = (chainOf: (kind: TunnelKind) => string): readonly NftRule[] =>
    tunnels.map((kind) => ({ matches: kind.matches, verdict: { do: 'goto', chain: chainOf(kind) } }))
  return [
    ...(senders === undefined ? [] : planSenders(senders, workloadInterfaces)),
    ...tunnels.map((kind) => receivedChain(kind, hosts, kind.isAllowedFromWorkloads ? checks : workloadInterfaces.map(dropWorkload))),
    ...(tunnels.length === 0 ? [] : [{ kind: 'chain', name: SENT_CHAIN, rules: untracked(hosts, 'daddr') } as const]),
    ...baseChain('raw-prerouting', 'prerouting', RAW_PRIORITY, [...toChain(({ chain }) => chain), ...checks]),
    ...baseChain(
      'raw-output',
      'output',
      RAW_PRIORITY,
      toChain(() => SENT_CHAIN),
    ),
  ]
}

function receivedChain({ chain }: TunnelKind, hosts: readonly HostSet[], ofWorkloads: readonly NftRule[]): NftChain {
  const toUs: NftRule = { matches: [{ on: 'daddr-type', value: 'local' }], verdict: { do: 'drop' }, isCounted: true }
  return { kind: 'chain', name: chain, rules: [...ofWorkloads, ...untracked(hosts, 'saddr'), toUs] }
}

function untracked(hosts: readonly HostSet[], on: 'saddr' | 'daddr'): readonly NftRule[] {
  return hosts.map(({ name, family }) => ({ matches: [{ on, set: name, family }], verdict: { do: 'notrack' } }))
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
