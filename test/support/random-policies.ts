import type { HostEndpoint } from '../../src/model/host-endpoint.ts'
import type { EntityRule, Rule } from '../../src/model/rule.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import type { PolicyInput } from '../../src/policy/engine.ts'
import type { Packet } from '../../src/policy/packet.ts'
import type { PolicyResource } from '../../src/policy/policies.ts'
import { anEndpoint } from './planning.ts'
import {
  aGlobalNetworkSet,
  aGlobalPolicy,
  aHostEndpoint,
  aNetworkSet,
  aPacket,
  aPolicy,
  aProfile,
  aStagedGlobalPolicy,
  aTier,
} from './policies.ts'
import { LINKS, type Link, OWN, REACHED, TRANSLATED } from './policy-lab.ts'

/** Random worlds of policies and random packets, the same for the same seed; addresses and ports are few, so that much matches. */

/** Gives whole numbers from 0 to below the given one. */
export type Random = (below: number) => number

/** A generator that gives the same numbers for the same seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function pick<T>(random: Random, list: readonly T[]): T {
  if (list.length === 0) throw new Error('nothing to choose from')
  return list[random(list.length)] as T
}

/** With this chance out of ten. */
function maybe<T>(random: Random, chance: number, make: () => T): T | undefined {
  return random(10) < chance ? make() : undefined
}

/** What a host is under, by kind and id. */
export type World = ReadonlyMap<string, PolicyInput>

/** Worlds before tracking and worlds where NAT translates exclude each other: what is not tracked is not translated. */
export interface WorldOptions {
  readonly hasUntracked: boolean
}

export function randomWorld(random: Random, options: WorldOptions): World {
  const resources: PolicyInput[] = [
    aTier('default', { order: 1e6, defaultAction: 'Deny' }),
    aTier('first', { order: random(3), defaultAction: pick(random, ['Deny', 'Pass']) }),
    aTier('second', { order: random(3), defaultAction: pick(random, ['Deny', 'Pass']) }),
    ...['red', 'blue'].map((name) =>
      aProfile(`kns.${name}`, { ...profileRules(random), labelsToApply: { 'pcns.colour': name, 'pcns.name': name } }),
    ),
    aProfile('extra', { ...profileRules(random), labelsToApply: { role: pick(random, ROLES), extra: 'yes' } }),
    ...workloads(random),
    ...hostEndpoints(random),
    aGlobalNetworkSet('office', { role: pick(random, ROLES) }, '198.51.100.0/25', '198.51.100.200', '2001:db8:51::/64'),
    aNetworkSet('red/partner', { role: pick(random, ROLES) }, '198.51.100.0/24', '2001:db8:51:1::7'),
    ...Array.from({ length: random(7) }, (_, i) => randomPolicy(random, `p${i}`, options)),
  ]
  return new Map(resources.map((one) => [`${one.kind} ${idOf(one)}`, one]))
}

/** The id of a resource in the view. */
export function idOf({ metadata }: PolicyInput): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`
}

const ROLES = ['web', 'db', 'bot']
const SELECTORS = [
  'role == "web"',
  'role != "web"',
  'role in {"db", "bot"}',
  'has(extra)',
  '!has(role)',
  'all()',
  'role == "db" || has(extra)',
  'role starts with "b"',
]
const PORTS = [22, 53, 80, 81, 82, 443, 4789, 8080, 8081]

function profileRules(random: Random): { readonly ingress: readonly Rule[]; readonly egress: readonly Rule[] } {
  const list = (): readonly Rule[] =>
    random(3) === 0 ? Array.from({ length: random(3) }, () => randomRule(random, 'ingress')) : [{ action: 'Allow' }]
  return { ingress: list(), egress: list() }
}

function workloads(random: Random): readonly PolicyInput[] {
  const all = [
    { name: 'w1', node: 'h1', link: 'mgyw1', ips: REACHED.mgyw1 },
    { name: 'w2', node: 'h1', link: 'mgyw2', ips: REACHED.mgyw2 },
    { name: 'r1', node: 'h2', link: 'mgyr1', ips: ['192.0.2.9', '2001:db8:1::9'] },
    { name: 'r2', node: 'h3', link: 'mgyr2', ips: ['203.0.113.77', '2001:db8:2::77'] },
  ]
  return all.flatMap(({ name, node, link, ips }) => {
    if (name === 'w2' && random(10) === 0) return []
    const namespace = pick(random, ['red', 'blue'])
    const ports = [
      { name: 'http', protocol: 'TCP', port: pick(random, [80, 81]) },
      { name: 'dns', protocol: 'UDP', port: 53 },
    ]
    const profiles = [...(maybe(random, 3, () => 'extra') === undefined ? [] : ['extra']), `kns.${namespace}`]
    const made = anEndpoint(name, node, ips, { interfaceName: link, profiles, ports: random(2) === 0 ? ports : [] })
    return [{ ...made, metadata: { ...made.metadata, namespace, labels: random(4) === 0 ? {} : { role: pick(random, ROLES) } } }]
  })
}

function hostEndpoints(random: Random): readonly HostEndpoint[] {
  const labels = () => ({ role: pick(random, ROLES), host: 'yes' })
  const profiles = () => (random(3) === 0 ? [] : ['projectcalico-default-allow'])
  return [
    ...(random(2) === 0
      ? [aHostEndpoint('eth0', { interfaceName: 'eth0', profiles: profiles(), expectedIPs: OWN.eth0.map(parseIp) }, labels())]
      : []),
    ...(random(3) === 0 ? [aHostEndpoint('eth1', { expectedIPs: OWN.eth1.map(parseIp), profiles: profiles() }, labels())] : []),
    ...(random(3) === 0 ? [aHostEndpoint('zz-any', { interfaceName: '*', profiles: profiles() }, labels())] : []),
  ]
}

function randomPolicy(random: Random, name: string, options: WorldOptions): PolicyResource {
  const made = randomPolicyOf(random, name, options)
  const isLogged = name === 'p1' || name === 'p4'
  return isLogged ? ({ ...made, metadata: { ...made.metadata, annotations: { 'margay.io/log': 'true' } } } as PolicyResource) : made
}

function randomPolicyOf(random: Random, name: string, { hasUntracked }: WorldOptions): PolicyResource {
  const rules = (direction: 'ingress' | 'egress') =>
    Array.from({ length: random(4) === 0 ? 8 + random(12) : random(5) }, () => randomRule(random, direction))
  const common = {
    tier: pick(random, ['default', 'default', 'first', 'second', 'gone']),
    ...(random(3) === 0 ? {} : { order: random(4) }),
    selector: pick(random, ['all()', 'all()', 'has(host)', '!has(host)', ...SELECTORS]),
    types: pick(random, [['Ingress'], ['Egress'], ['Ingress', 'Egress'], []] as const),
    ingress: rules('ingress'),
    egress: rules('egress'),
  }
  const kind = random(10)
  if (kind < 2) return aPolicy(`${pick(random, ['red', 'blue'])}/${name}`, common)
  if (kind === 2) return aStagedGlobalPolicy(name, common)
  if (kind < 5) return aGlobalPolicy(name, { ...common, applyOnForward: true })
  if (kind === 5) return aGlobalPolicy(name, { ...common, applyOnForward: true, preDNAT: true, types: ['Ingress'], egress: [] })
  if (kind === 6 && hasUntracked) return aGlobalPolicy(name, { ...common, applyOnForward: true, doNotTrack: true })
  return aGlobalPolicy(name, common)
}

/** Any rule that passes the checks for rules, and some that do not and are in stores all the same. */
export function randomRule(random: Random, direction: 'ingress' | 'egress'): Rule {
  const protocol = pick(random, [undefined, 'TCP', 'TCP', 'TCP', 'UDP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite', 99, '6'] as const)
  const canHavePorts = !['ICMP', 'ICMPv6', 99, undefined].includes(protocol)
  const icmp = () => ({ type: pick(random, [8, 13, 128, 135, 3]), ...(random(2) === 0 ? {} : { code: random(2) }) })
  const [source, destination] = [entity(random, canHavePorts, 1), entity(random, canHavePorts, 5)]
  const hasService = direction === 'egress' && random(12) === 0
  return {
    action: pick(random, ['Allow', 'Allow', 'Allow', 'Deny', 'Deny', 'Pass', 'Log'] as const),
    ...(protocol === undefined ? {} : { protocol }),
    ...(random(8) === 0 ? { ipVersion: pick(random, [4, 6] as const) } : {}),
    ...(random(8) === 0 ? { notProtocol: pick(random, ['TCP', 'UDP', 99] as const) } : {}),
    ...(protocol === 'ICMP' || protocol === 'ICMPv6' ? pick(random, [{}, { icmp: icmp() }, { notICMP: icmp() }]) : {}),
    ...(random(2) === 0 ? { source } : {}),
    ...(hasService ? { destination: { services: { name: 'shop', namespace: 'red' } } } : random(3) > 0 ? { destination } : {}),
    ...(random(30) === 0 ? { http: { methods: ['GET'] } } : {}),
  }
}

const NETS4 = ['10.65.0.0/30', '10.65.0.3/32', '192.0.2.0/24', '198.51.100.0/24', '198.51.100.128/25', '0.0.0.0/1', '203.0.113.9/32']
const NETS6 = ['2001:db8:65::/126', '2001:db8:1::/64', '2001:db8:51::/48', '2001:db8:2::9/128', '2000::/3']

function entity(random: Random, canHavePorts: boolean, portChance: number): EntityRule {
  const someNets = () => {
    const family = random(5) === 0 ? [...NETS4, ...NETS6] : random(3) === 0 ? NETS6 : NETS4
    return Array.from({ length: 1 + random(3) }, () => parseCidr(pick(random, family)))
  }
  const somePorts = () =>
    Array.from({ length: 1 + random(3) }, () =>
      pick<number | string>(random, [
        pick(random, PORTS),
        pick(random, PORTS),
        `${80 + random(2)}:${82 + random(400)}`,
        '20000:26000',
        pick(random, ['http', 'dns']),
      ]),
    )
  const given = {
    nets: maybe(random, 2, someNets),
    notNets: maybe(random, 1, someNets),
    selector: maybe(random, 2, () => pick(random, SELECTORS)),
    notSelector: maybe(random, 1, () => pick(random, SELECTORS)),
    namespaceSelector: maybe(random, 1, () => pick(random, ['colour == "red"', 'all()', 'global()', 'has(colour)'])),
    ports: canHavePorts ? maybe(random, portChance, somePorts) : maybe(random, 0, somePorts),
    notPorts: canHavePorts ? maybe(random, 1, somePorts) : undefined,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** A packet on its way: who sends it, and where it leaves the host (absent: it stays). */
export interface Journey {
  readonly from: Link | 'host'
  readonly to: Link | undefined
  readonly packet: Packet
  readonly translated: Packet['destination'] | undefined
  readonly hopLimit: number
}

/** A packet whose connection is new, unless it has no ports; `n` makes its source port one of its own. */
export function randomJourney(random: Random, n: number, { hasUntracked }: WorldOptions): Journey {
  const from = pick<Link | 'host'>(random, ['mgyw1', 'mgyw1', 'mgyw2', 'eth0', 'eth0', 'eth1', 'host'])
  const family = pick(random, [4, 6] as const)
  const isOfFamily = (address: string) => address.includes(':') === (family === 6)
  const others = LINKS.filter((link) => link !== from)
  const to = from !== 'host' && random(3) === 0 ? undefined : pick(random, others)
  const destination = pick(random, (to === undefined ? Object.values(OWN).flat() : REACHED[to]).filter(isOfFamily))
  const elsewhere = [
    '198.51.100.7',
    '198.51.100.200',
    '198.18.0.1',
    '2001:db8:51::7',
    '2001:db8:51:1::7',
    '2001:db8:99::1',
    ...REACHED.eth1,
    ...REACHED.eth0,
  ]
  const own = from === 'host' ? OWN.eth0 : REACHED[from]
  const source = pick(random, (random(3) > 0 || from === 'host' ? own : elsewhere).filter(isOfFamily))
  const port = pick(
    random,
    PORTS.filter((one) => !hasUntracked || (one !== TRANSLATED.in.port && one !== TRANSLATED.out.port)),
  )
  const packet = aPacket(packetText(random, { family, source, destination, port, sourcePort: 20_000 + (n % 30_000) }))
  const translation = translate(from, packet)
  const hopLimit = pick(random, [64, 255])
  return translation === undefined ? { from, to, packet, translated: undefined, hopLimit } : { from, packet, hopLimit, ...translation }
}

interface Ends {
  readonly family: 4 | 6
  readonly source: string
  readonly destination: string
  readonly port: number
  readonly sourcePort: number
}

function packetText(random: Random, { family, source, destination, port, sourcePort }: Ends): string {
  const protocol = pick(random, ['tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp', 'sctp', 'udplite', '99'])
  if (protocol === 'icmp' && family === 4) return `icmp ${source} > ${destination} ${pick(random, [8, 13])}/0`
  if (protocol === 'icmp') return `icmpv6 ${source} > ${destination} ${pick(random, [128, 130, 135])}/0`
  if (protocol === '99') return `99 ${source} > ${destination}`
  const end = (address: string, number: number) => (family === 4 ? `${address}:${number}` : `[${address}]:${number}`)
  return `${protocol} ${end(source, sourcePort)} > ${end(destination, port)}`
}

function translate(
  from: Link | 'host',
  { family, protocol, destination }: Packet,
): { to: Link; translated: Packet['destination'] } | undefined {
  if (protocol !== 6) return undefined
  const { in: incoming, out: outgoing } = TRANSLATED
  if (from === 'eth0' && destination.port === incoming.port)
    return { to: 'mgyw1', translated: { address: parseIp(incoming.to[family]), port: incoming.toPort } }
  if (from === 'host' && destination.port === outgoing.port)
    return { to: 'eth1', translated: { address: parseIp(outgoing.to[family]), port: outgoing.toPort } }
  return undefined
}
