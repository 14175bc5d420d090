import type { NftChain, NftMatch, NftObject, NftRule, NftSet, SenderKey } from '../kernel/objects.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import { ICMP_PROTOCOLS } from './packet.ts'

/** From where a host's workloads may send. Elements as sets have them, taken as they are: with thousands of workloads a copy would cost. */
export interface Senders {
  /** Interface, MAC and address of each workload whose record gives a MAC. */
  readonly addresses: Readonly<Record<Family, ReadonlySet<string>>>
  /** Interface and MAC of the same. */
  readonly macs: ReadonlySet<string>
  /** Interface and address of each workload whose MAC nobody knows. */
  readonly addressesWithoutMac: Readonly<Record<Family, ReadonlySet<string>>>
  /** The interfaces of the same. */
  readonly linksWithoutMac: ReadonlySet<string>
  /** What workloads may send from beside their own addresses, by interface. */
  readonly prefixes: ReadonlyMap<string, readonly Cidr[]>
}

/** Where packets of workloads are sent on to, with `jump`: what comes back is from where it says. */
export const SENDERS_CHAIN = 'workload-senders'
const EXCEPTIONS_CHAIN = 'workload-sender-exceptions'
const EXACT_LINKS = 'workload-interfaces'
const UDP = 17
const DHCP_SERVER = 67

/** The rules that lead packets of workloads to the check; interfaces that somebody else named are looked up together. */
export function toSenders(workloadInterfaces: readonly string[]): readonly NftRule[] {
  const check = (match: NftMatch): NftRule => ({ matches: [match], verdict: { do: 'jump', chain: SENDERS_CHAIN } })
  const { patterns, exact } = sortInterfaces(workloadInterfaces)
  const rules = patterns.map((value) => check({ on: 'iifname', value }))
  return exact.length === 0 ? rules : [...rules, check({ on: 'sender', key: 'interface', set: EXACT_LINKS, family: 4 })]
}

/**
 * What drops, before anything is tracked, that a workload sends from another address or another MAC than its own. For nearly all packets it is
 * one look-up; behind it stand the few that need no address of their own: DHCPv4, duplicate address detection (RFC 4862), what is link-local
 * (neighbour discovery, MLD, DHCPv6; no router forwards it), and the prefixes that the record allows.
 */
export function planSenders(senders: Senders, workloadInterfaces: readonly string[]): readonly NftObject[] {
  const { exact } = sortInterfaces(workloadInterfaces)
  const hasUnknownMac = senders.linksWithoutMac.size > 0
  const sets: readonly NftSet[] = [
    ...FAMILIES.map((family) => aSet(`senders${family}`, 'interface-mac-address', family, senders.addresses[family])),
    aSet('sender-macs', 'interface-mac', 4, senders.macs),
    ...(hasUnknownMac
      ? FAMILIES.map((family) => aSet(`addresses${family}`, 'interface-address', family, senders.addressesWithoutMac[family]))
      : []),
    ...(hasUnknownMac ? [aSet('links-without-mac', 'interface', 4, senders.linksWithoutMac)] : []),
    ...(exact.length === 0 ? [] : [aSet(EXACT_LINKS, 'interface', 4, new Set(exact))]),
  ]
  const isOwn = (set: NftSet): NftRule => ({ matches: [isSender(set)], verdict: { do: 'return' } })
  const mayBeOther = (set: NftSet): NftRule => ({ matches: [isSender(set)], verdict: { do: 'goto', chain: EXCEPTIONS_CHAIN } })
  const named = (...keys: readonly SenderKey[]) => sets.filter(({ key, name }) => name !== EXACT_LINKS && keys.some((one) => one === key))
  const check: NftChain = {
    kind: 'chain',
    name: SENDERS_CHAIN,
    rules: [
      ...named('interface-mac-address', 'interface-address').map(isOwn),
      ...named('interface-mac', 'interface').map(mayBeOther),
      DROP,
    ],
  }
  return [...sets, exceptions(senders.prefixes), check]
}

const DROP: NftRule = { matches: [], verdict: { do: 'drop' }, isCounted: true }

function exceptions(prefixes: Senders['prefixes']): NftChain {
  const pass = (...matches: readonly NftMatch[]): NftRule => ({ matches, verdict: { do: 'return' } })
  const from = (value: string): NftMatch => ({ on: 'saddr', value: parseCidr(value) })
  const rules = [
    pass(from('fe80::/10')),
    pass(from('::/128'), { on: 'protocol', value: ICMP_PROTOCOLS[6] }),
    pass(
      from('0.0.0.0/32'),
      { on: 'daddr', value: parseCidr('255.255.255.255/32') },
      { on: 'protocol', value: UDP },
      { on: 'dport', value: DHCP_SERVER },
    ),
    ...[...prefixes].flatMap(([link, cidrs]) => cidrs.map((value) => pass({ on: 'iifname', value: link }, { on: 'saddr', value }))),
  ]
  return { kind: 'chain', name: EXCEPTIONS_CHAIN, rules: [...rules, DROP] }
}

function aSet(name: string, key: SenderKey, family: Family, elements: ReadonlySet<string>): NftSet {
  return { kind: 'set', name, key, family, isInterval: false, elements }
}

function isSender({ name, key, family }: NftSet): NftMatch {
  return { on: 'sender', key: key as SenderKey, set: name, family }
}

function sortInterfaces(names: readonly string[]): { readonly patterns: readonly string[]; readonly exact: readonly string[] } {
  const isPattern = (name: string) => name.endsWith('*')
  return { patterns: names.filter(isPattern), exact: names.filter((name) => !isPattern(name)) }
}
