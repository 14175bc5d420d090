import type { LoggedPacket } from '../kernel/nflog/nflog.ts'
import type { Decider, FlowEvent } from '../model/own/flows.ts'
import { PROTOCOL_NUMBERS } from '../net/port.ts'
import type { CountedRule, LogText } from '../policy/counted-rule.ts'

/** Who is behind an interface. */
export interface InterfaceOwner {
  readonly endpoint?: string
  readonly endpointKind?: 'WorkloadEndpoint' | 'HostEndpoint'
}

/** What is known of the host that a packet was logged on. */
export interface FlowHost {
  /** The name of the interface with this index, also of one that is gone since. */
  interfaceName(index: number): string | undefined
  ownerOf(name: string, isHostEndpoint: boolean): InterfaceOwner
  /** FelixConfiguration.logPrefix. */
  readonly logPrefix: string
}

/** The event that a logged packet is: what the rule and the packet's interfaces say together. */
export function flowEvent(packet: LoggedPacket, text: LogText, rule: CountedRule, host: FlowHost, time: string): FlowEvent {
  const { header } = packet
  const { index, isHostEndpoint } = interfaceOf(packet, text, rule)
  const link = index === undefined ? undefined : host.interfaceName(index)
  const decider = deciderOf(rule)
  return {
    type: 'flow',
    time,
    verdict: text.verdict,
    direction: rule.direction,
    ...(link === undefined ? {} : { ...host.ownerOf(link, isHostEndpoint), interface: link }),
    decider,
    ...(text.verdict === 'log' ? { prefix: expandPrefix(host.logPrefix, decider) } : {}),
    protocol: protocolName(header.protocol),
    source: header.source,
    ...(header.sourcePort === undefined ? {} : { sourcePort: header.sourcePort }),
    destination: header.destination,
    ...(header.destinationPort === undefined ? {} : { destinationPort: header.destinationPort }),
    ...(header.icmp === undefined ? {} : { icmp: header.icmp }),
    lengthBytes: header.lengthBytes,
  }
}

/**
 * By which interface the endpoint stands. Where packets are forwarded, workloads' own policies see both interfaces: an ingress rule is
 * the receiver's. Host endpoints' policies for what is forwarded have a stage of their own.
 */
function interfaceOf({ inInterface, outInterface }: LoggedPacket, { stage }: LogText, { direction }: CountedRule) {
  const [own, other] = direction === 'ingress' ? [inInterface, outInterface] : [outInterface, inInterface]
  const isWorkload = stage === 'normal' && other !== undefined
  return { index: isWorkload ? other : own, isHostEndpoint: !isWorkload }
}

/** What decided, as it is told. */
export function deciderOf(rule: CountedRule): Decider {
  switch (rule.by) {
    case 'policy': {
      const { by, kind, namespace, name, tier, action } = rule
      return { by, kind, ...(namespace === undefined ? {} : { namespace }), name, tier, rule: rule.rule, action }
    }
    case 'profile':
      return { by: 'profile', kind: 'Profile', name: rule.profile, rule: rule.rule, action: rule.action }
    case 'missing-profile':
      return { by: 'missing-profile', kind: 'Profile', name: rule.profile, action: 'Deny' }
    case 'closed': {
      const { direction: _, ...closed } = rule
      return { ...closed, action: 'Deny' }
    }
    case 'tier':
      return { by: 'tier', tier: rule.tier, action: 'Deny' }
    case 'end':
    case 'endpoint-to-host':
      return { by: rule.by, action: 'Deny' }
  }
}

/** Calico's short names of kinds (%k). */
const SHORT_KINDS: Readonly<Record<string, string>> = {
  GlobalNetworkPolicy: 'gnp',
  NetworkPolicy: 'np',
  StagedGlobalNetworkPolicy: 'sgnp',
  StagedNetworkPolicy: 'snp',
  StagedKubernetesNetworkPolicy: 'sknp',
  Profile: 'pro',
}

/** `%t` tier, `%k` kind, `%n` name, `%p` namespace and name. */
function expandPrefix(prefix: string, { tier, kind, namespace, name }: Decider): string {
  const full = namespace === undefined ? name : `${namespace}/${name}`
  const words: Readonly<Record<string, string | undefined>> = { t: tier, k: SHORT_KINDS[kind ?? ''], n: name, p: full }
  return prefix.replaceAll(/%([tknp])/g, (_, letter: string) => words[letter] ?? '')
}

const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [number, name]))

/** `TCP`, or a number that has no name. */
export function protocolName(number: number): string {
  return PROTOCOL_NAMES.get(number) ?? String(number)
}
