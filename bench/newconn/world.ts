import type { GlobalNetworkPolicy } from '../../src/model/network-policy.ts'
import type { GlobalNetworkSet } from '../../src/model/network-set.ts'
import type { Rule } from '../../src/model/rule.ts'
import type { WorkloadEndpoint } from '../../src/model/workload-endpoint.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import type { PortRange } from '../../src/net/port.ts'
import type { Direction } from '../../src/policy/policies.ts'
import { anEndpoint } from '../../test/support/planning.ts'
import { aGlobalNetworkSet, aGlobalPolicy } from '../../test/support/policies.ts'
import { type Random, randomOf } from '../../test/support/random-policies.ts'

/** A rule of the bench: the peer is the source of what comes in and the destination of what goes out. */
export interface BenchRule {
  readonly action: 'Allow' | 'Deny' | 'Pass'
  readonly protocol?: 'TCP' | 'UDP' | 'ICMP'
  /** The peer is in this set. */
  readonly set?: string
  readonly nets?: readonly string[]
  readonly notNets?: readonly string[]
  readonly ports?: readonly PortRange[]
  readonly icmpType?: number
}

export interface BenchPolicy {
  readonly name: string
  readonly rules: Readonly<Record<Direction, readonly BenchRule[]>>
}

/** Policies, and endpoints that each are under an ordered list of them. */
export interface BenchWorld {
  readonly sets: ReadonlyMap<string, readonly string[]>
  readonly policies: readonly BenchPolicy[]
  /** Indices of policies, rising: their order. */
  readonly lists: readonly (readonly number[])[]
  /** Interfaces without prefix (`cl` for `mgycl`) with their lists; the client's and the server's are under the first list. */
  readonly endpoints: ReadonlyMap<string, number>
}

export interface WorldSize {
  readonly policies: number
  readonly policiesOfEndpoint: number
  readonly endpoints: number
}

export const CLIENT = { link: 'cl', ip: '10.65.0.2', gateway: '10.65.0.1' } as const
export const SERVER = { link: 'sv', ip: '10.65.1.2', gateway: '10.65.1.1' } as const
/** The most crowded port, which a fifth of all rules with ports names. */
export const PORT = 80

const RULES = 20
const SETS = 200
const MEMBERS = 200
const PORTS = (
  '80 443 8080 8443 3306 5432 6379 9090 9092 53 22 25 110 143 993 995 389 636 2379 2380 6443 10250 10255 10256 9100 9093 3000 5000 5601 9200 ' +
  '9300 27017 11211 1883 8883 5672 15672 4369 50051 7000 7001 9042 9160 2181 2888 3888 8020 8021 8088 8888 161 514 123 69 111 2049 445 139 873 179'
)
  .split(' ')
  .map(Number)

/**
 * Always the same world: 20 rules a policy and direction (TCP and UDP from selectors with ports, CIDRs, a range of ports, a CIDR denied, a
 * selector without port, echo requests, excluded CIDRs, Deny and now and then Pass); ports are as unevenly used as in life. Only the last
 * policy of the first list lets the client reach the server, in its last rule but one.
 */
export function makeWorld({ policies: count, policiesOfEndpoint, endpoints }: WorldSize): BenchWorld {
  const random = randomOf(42)
  const sets = new Map(Array.from({ length: SETS }, (_, i) => [`s${i}`, Array.from({ length: MEMBERS }, () => memberAddress(random))]))
  sets.set('peers', [CLIENT.ip, SERVER.ip])
  const policies = Array.from({ length: count }, (_, i): BenchPolicy => {
    const rules = () => Array.from({ length: RULES }, (_, n) => makeRule(random, n))
    return { name: `p${i}`, rules: { ingress: rules(), egress: rules() } }
  })
  const lists = Array.from({ length: Math.ceil(endpoints / 10) }, () => makeList(random, count, policiesOfEndpoint))
  const last = lists[0]?.at(-1) ?? 0
  const matching: BenchRule = { action: 'Allow', protocol: 'TCP', set: 'peers', ports: [{ low: PORT, high: PORT }] }
  const { name, rules } = policies[last] ?? { name: '', rules: { ingress: [], egress: [] } }
  policies[last] = { name, rules: { ingress: rules.ingress.with(-2, matching), egress: rules.egress.with(-2, matching) } }
  const others = Array.from({ length: endpoints - 2 }, (_, i) => [`e${i}`, i % lists.length] as const)
  return { sets, policies, lists, endpoints: new Map([[CLIENT.link, 0], [SERVER.link, 0], ...others]) }
}

/** The same as margay's resources, with names of interfaces that begin so. */
export function asResources(world: BenchWorld, prefix: string): readonly (GlobalNetworkPolicy | GlobalNetworkSet | WorkloadEndpoint)[] {
  const { sets, policies, lists, endpoints } = world
  const listsOf = (index: number) => lists.flatMap((list, i) => (list.includes(index) ? [`"l${i}"`] : []))
  return [
    ...[...sets].map(([name, members]) => aGlobalNetworkSet(name, { set: name }, ...members)),
    ...policies.map(({ name, rules }, index) =>
      aGlobalPolicy(name, {
        order: index,
        selector: `list in {${listsOf(index).join()}}`,
        types: ['Ingress', 'Egress'],
        ingress: rules.ingress.map((rule) => asRule(rule, 'source')),
        egress: rules.egress.map((rule) => asRule(rule, 'destination')),
      }),
    ),
    ...[...endpoints].map(([link, list], i) => {
      const address = [CLIENT, SERVER].find((end) => end.link === link)?.ip ?? `10.66.${i >> 8}.${i & 255}`
      const made = anEndpoint(link, 'h1', [address], { interfaceName: `${prefix}${link}` })
      return { ...made, metadata: { ...made.metadata, labels: { list: `l${list}` } } }
    }),
  ]
}

function asRule({ action, protocol, set, nets, notNets, ports, icmpType }: BenchRule, peer: 'source' | 'destination'): Rule {
  const onPeer = {
    ...(set === undefined ? {} : { selector: `set == "${set}"` }),
    ...(nets === undefined ? {} : { nets: nets.map(parseCidr) }),
    ...(notNets === undefined ? {} : { notNets: notNets.map(parseCidr) }),
  }
  const onPorts = ports === undefined ? {} : { ports: ports.map(({ low, high }) => (low === high ? low : `${low}:${high}`)) }
  return {
    action,
    ...(protocol === undefined ? {} : { protocol }),
    ...(icmpType === undefined ? {} : { icmp: { type: icmpType } }),
    ...(peer === 'source' ? { source: onPeer, destination: onPorts } : { destination: { ...onPeer, ...onPorts } }),
  }
}

function makeRule(random: Random, n: number): BenchRule {
  const set = () => `s${random(SETS)}`
  if (n < 9)
    return {
      action: 'Allow',
      protocol: 'TCP',
      set: set(),
      ports: distinct(Array.from({ length: 1 + random(2) }, () => randomPort(random))),
    }
  if (n < 12) return { action: 'Allow', protocol: 'TCP', nets: [randomNet(random)], ports: [onePort(randomPort(random))] }
  if (n < 14) return { action: 'Allow', protocol: 'UDP', set: set(), ports: [onePort(randomPort(random))] }
  switch (n) {
    case 14: {
      const low = 30_000 + 100 * random(20)
      return { action: 'Allow', protocol: 'TCP', set: set(), ports: [{ low, high: low + 99 }] }
    }
    case 15:
      return { action: 'Deny', nets: [randomNet(random)] }
    case 16:
      return { action: 'Allow', set: set() }
    case 17:
      return { action: 'Allow', protocol: 'ICMP', icmpType: 8, nets: [randomNet(random)] }
    case 18: {
      const notNets = [randomNet(random), randomNet(random)]
      return { action: 'Allow', protocol: 'TCP', set: set(), notNets, ports: [onePort(randomPort(random))] }
    }
    default:
      return { action: random(10) === 0 ? 'Pass' : 'Deny', protocol: 'TCP', set: set(), ports: [onePort(randomPort(random))] }
  }
}

function makeList(random: Random, policies: number, length: number): readonly number[] {
  const list = new Set<number>()
  while (list.size < Math.min(length, policies)) list.add(random(policies))
  return [...list].sort((a, b) => a - b)
}

/** The nth port is asked for n times less often than the first. */
function randomPort(random: Random): number {
  const steps = 1_000_000
  let left = (random(steps) / steps) * PORTS.reduce((sum, _, i) => sum + 1 / (i + 1), 0)
  for (const [i, port] of PORTS.entries()) {
    left -= 1 / (i + 1)
    if (left < 0) return port
  }
  return PORT
}

function onePort(port: number): PortRange {
  return { low: port, high: port }
}

function distinct(ports: readonly number[]): readonly PortRange[] {
  return [...new Set(ports)].map(onePort)
}

/** In no net of `randomNet`, and not the client's or the server's. */
function memberAddress(random: Random): string {
  return `10.${128 + random(100)}.${random(256)}.${1 + random(254)}`
}

function randomNet(random: Random): string {
  const length = 16 + random(9)
  const net = ((172 << 24) | random(1 << 24)) & (0xffff_ffff << (32 - length))
  return `${[24, 16, 8, 0].map((bits) => (net >>> bits) & 255).join('.')}/${length}`
}
