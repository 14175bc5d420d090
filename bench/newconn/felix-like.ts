import { createHash } from 'node:crypto'
import { parseCidr } from '../../src/net/cidr.ts'
import type { PortRange } from '../../src/net/port.ts'
import { withoutCovered } from '../../src/net/prefix-set.ts'
import type { Direction } from '../../src/policy/policies.ts'
import type { BenchPolicy, BenchRule, BenchWorld } from './world.ts'

/** The names of workloads' interfaces there begin so. */
export const FELIX_PREFIX = 'cali'

const MARK = { accept: 0x1_0000, pass: 0x2_0000, drop: 0x4_0000, scratch0: 0x8_0000, scratch1: 0x10_0000 } as const
const ALL_MARKS = Object.values(MARK).reduce((sum, bit) => sum | bit, 0)

/**
 * The world in the manner of Calico's own agent in nftables mode, as text for nft(8): a verdict map from workloads' interfaces to a chain
 * an endpoint and direction, a jump to each policy's chain with looks at the marks around it, for each rule one that marks and one that
 * acts on the mark, a counter on every rule, and base chains at every hook. Kinder to it than life in two things: addresses of
 * selectors are in hashes, and lists of ports in named sets that are shared.
 */
export function renderFelixLike(world: BenchWorld): string {
  const used = new Set([...world.endpoints.values()].flatMap((list) => world.lists[list] ?? []))
  const policies = world.policies.filter((_, index) => used.has(index))
  const sets = new NamedSets()
  const chains = (['ingress', 'egress'] as const).flatMap((direction) => [
    ...policies.map((policy) => policyChain(policy, direction, sets)),
    ...[...world.endpoints].map(([link, list]) => endpointChain(link, world.lists[list] ?? [], direction, world)),
  ])
  const members = [...world.sets].map(([name, list]) => `set ${name} { type ipv4_addr; elements = { ${[...new Set(list)].join(', ')} }; }`)
  return ['table ip calico {', ...members, ...sets.lines, ...chains, ...dispatch(world), BASE, '}', ''].join('\n')
}

/** Sets that are named by what is in them. */
class NamedSets {
  readonly #known = new Map<string, string>()

  get lines(): readonly string[] {
    return [...this.#known.values()]
  }

  of(type: 'inet_service' | 'ipv4_addr', members: readonly string[]): string {
    const [only, ...more] = members
    if (only !== undefined && more.length === 0) return only
    const name = `l_${createHash('sha1').update(members.join()).digest('hex').slice(0, 10)}`
    const flags = members.some((member) => /[-/]/.test(member)) ? 'flags interval; ' : ''
    this.#known.set(name, `set ${name} { type ${type}; ${flags}elements = { ${members.join(', ')} }; }`)
    return `@${name}`
  }
}

function policyChain({ name, rules }: BenchPolicy, direction: Direction, sets: NamedSets): string {
  const lines = rules[direction].flatMap((rule) => renderRule(rule, direction === 'ingress' ? 'saddr' : 'daddr', sets))
  return chain(policyChainName(name, direction), lines)
}

function renderRule(rule: BenchRule, address: 'saddr' | 'daddr', sets: NamedSets): readonly string[] {
  const excluded = rule.notNets ?? []
  // Several excluded nets are a block of rules of their own, which leaves its finding in a mark.
  const block =
    excluded.length < 2
      ? []
      : [`counter ${setMark(MARK.scratch0)}`, ...excluded.map((net) => `ip ${address} ${net} counter ${clearMark(MARK.scratch0)}`)]
  const found = block.length === 0 ? [] : [hasMark(MARK.scratch0)]
  const matches = [...matchesOf(block.length === 0 ? rule : { ...rule, notNets: [] }, address, sets), ...found].join(' ')
  const [bit, verdict] = { Allow: [MARK.accept, 'return'], Pass: [MARK.pass, 'return'], Deny: [MARK.drop, 'drop'] }[rule.action] as [
    number,
    string,
  ]
  return [...block, `${matches} counter ${setMark(bit)}`, `${hasMark(bit)} counter ${verdict}`]
}

function matchesOf(
  { protocol, ports, icmpType, set, nets = [], notNets = [] }: BenchRule,
  address: string,
  sets: NamedSets,
): readonly string[] {
  const toPort = ({ low, high }: PortRange) => (low === high ? `${low}` : `${low}-${high}`)
  return [
    ...(protocol === undefined || ports !== undefined ? [] : [`meta l4proto ${protocol.toLowerCase()}`]),
    ...(ports === undefined ? [] : [`${protocol?.toLowerCase()} dport ${sets.of('inet_service', ports.map(toPort))}`]),
    ...(icmpType === undefined ? [] : [`icmp type ${icmpType}`]),
    ...(set === undefined ? [] : [`ip ${address} @${set}`]),
    ...(nets.length === 0 ? [] : [`ip ${address} ${sets.of('ipv4_addr', withoutCovered(nets.map(parseCidr)))}`]),
    ...notNets.map((net) => `ip ${address} != ${net}`),
  ]
}

function endpointChain(link: string, list: readonly number[], direction: Direction, { policies }: BenchWorld): string {
  return chain(endpointChainName(link, direction), [
    'ct state established,related counter accept',
    'ct state invalid counter drop',
    `counter ${clearMark(MARK.accept | MARK.pass)}`,
    ...(direction === 'egress' ? ['udp dport 4789 counter drop', 'meta l4proto 4 counter drop'] : []),
    `counter ${clearMark(MARK.pass)}`,
    ...list.flatMap((index) => [
      `${hasNotMark(MARK.pass)} counter jump ${policyChainName(policies[index]?.name ?? '', direction)}`,
      `${hasMark(MARK.accept)} counter return`,
    ]),
    `${hasNotMark(MARK.pass)} counter drop`,
    'counter drop',
  ])
}

function dispatch({ endpoints }: BenchWorld): readonly string[] {
  const map = (name: string, direction: Direction) => {
    const elements = [...endpoints.keys()].map((link) => `"${FELIX_PREFIX}${link}" : goto ${endpointChainName(link, direction)}`)
    return `map ${name} { type ifname : verdict; elements = { ${elements.join(', ')} }; }`
  }
  return [map('from-wl', 'egress'), map('to-wl', 'ingress')]
}

function policyChainName(policy: string, direction: Direction): string {
  return `cali-${direction === 'ingress' ? 'pi' : 'po'}-${policy}`
}

function endpointChainName(link: string, direction: Direction): string {
  return `cali-${direction === 'ingress' ? 'tw' : 'fw'}-${link}`
}

function chain(name: string, lines: readonly string[]): string {
  return [`chain ${name} {`, ...lines, '}'].join('\n')
}

function hex(bits: number): string {
  return `0x${(bits >>> 0).toString(16)}`
}

function setMark(bits: number): string {
  return `meta mark set mark or ${hex(bits)}`
}

function clearMark(bits: number): string {
  return `meta mark set mark and ${hex(~bits)}`
}

function hasMark(bit: number): string {
  return `meta mark & ${hex(bit)} == ${hex(bit)}`
}

function hasNotMark(bit: number): string {
  return `meta mark & ${hex(bit)} == 0`
}

/** All that packets go through beside the policies; what has nothing to do is called all the same. */
const BASE = `
set pools { type ipv4_addr; flags interval; elements = { 10.65.0.0/16 }; }
set masq-pools { type ipv4_addr; flags interval; }
set dscp { type ipv4_addr; }
set this-host { type ipv4_addr; elements = { 10.65.0.1, 10.65.1.1 }; }
chain cali-from-hep { }
chain cali-to-hep { }
chain cali-from-hep-forward { }
chain cali-to-hep-forward { }
chain cali-cidr-block { }
chain cali-rpf-skip { }
chain cali-fip-dnat { }
chain cali-fip-snat { }
chain cali-egress-dscp { }
chain cali-nat-outgoing { ip saddr @masq-pools ip daddr != @pools counter masquerade; }
chain cali-from-wl-dispatch { iifname vmap @from-wl; counter drop; }
chain cali-to-wl-dispatch { oifname vmap @to-wl; counter drop; }
chain cali-FORWARD {
  counter ${clearMark(ALL_MARKS & ~MARK.accept)}
  ${hasNotMark(MARK.accept)} counter jump cali-from-hep-forward
  iifname "${FELIX_PREFIX}*" counter jump cali-from-wl-dispatch
  oifname "${FELIX_PREFIX}*" counter jump cali-to-wl-dispatch
  counter jump cali-to-hep-forward
  counter jump cali-cidr-block
}
chain filter-FORWARD { type filter hook forward priority filter; policy accept;
  counter jump cali-FORWARD
  ${hasMark(MARK.accept)} counter accept
  counter ${setMark(MARK.accept)}
}
chain filter-INPUT { type filter hook input priority filter; policy accept;
  iifname "${FELIX_PREFIX}*" counter accept
}
chain filter-OUTPUT { type filter hook output priority filter; policy accept;
  ${hasMark(MARK.accept)} counter accept
  oifname "${FELIX_PREFIX}*" counter return
}
chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept;
  counter ${clearMark(ALL_MARKS)}
  udp dport 4789 counter notrack
  iifname "${FELIX_PREFIX}*" counter ${setMark(MARK.scratch0)}
  ${hasMark(MARK.scratch0)} counter jump cali-rpf-skip
  ${hasMark(MARK.scratch0)} fib saddr . mark . iif oif 0 counter drop
  ${hasNotMark(MARK.scratch0)} counter jump cali-from-hep
  ${hasMark(MARK.accept)} counter accept
}
chain mangle-PREROUTING { type filter hook prerouting priority mangle; policy accept;
  ct state established,related counter accept
  ${hasMark(MARK.accept)} counter accept
  counter jump cali-from-hep
  ${hasMark(MARK.accept)} counter accept
}
chain mangle-POSTROUTING { type filter hook postrouting priority mangle; policy accept;
  ip saddr @dscp ip daddr != @pools ip daddr != @this-host counter jump cali-egress-dscp
  ${hasMark(MARK.accept)} counter return
  counter ${clearMark(ALL_MARKS)}
  ct status dnat counter jump cali-to-hep
  ${hasMark(MARK.accept)} counter return
}
chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept;
  counter jump cali-fip-dnat
}
chain nat-OUTPUT { type nat hook output priority -100; policy accept;
  counter jump cali-fip-dnat
}
chain nat-POSTROUTING { type nat hook postrouting priority 110; policy accept;
  counter jump cali-fip-snat
  counter jump cali-nat-outgoing
}
`
