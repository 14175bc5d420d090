import type { NftObject } from '../../src/kernel/objects.ts'
import type { HostEndpoint } from '../../src/model/host-endpoint.ts'
import type { Profile } from '../../src/model/profile.ts'
import type { Tier } from '../../src/model/tier.ts'
import type { WorkloadEndpoint } from '../../src/model/workload-endpoint.ts'
import { parseIp } from '../../src/net/ip.ts'
import type { Form } from '../../src/policy/block.ts'
import type { LogSettings } from '../../src/policy/counted-rule.ts'
import type { PolicyEngine, PolicyHost, PolicyInput } from '../../src/policy/engine.ts'
import type { LocalEndpoint } from '../../src/policy/evaluate.ts'
import type { PathSettings, PolicedHost, TunnelPacket } from '../../src/policy/evaluate-path.ts'
import { DEFAULT_FAILSAFES, type Failsafes } from '../../src/policy/failsafes.ts'
import { externalSets } from '../../src/policy/frame.ts'
import { planHostEndpoints } from '../../src/policy/host-endpoints.ts'
import { type ImplicitInput, planImplicit } from '../../src/policy/implicit.ts'
import { type LabelledTypes, labelledOf } from '../../src/policy/labelled.ts'
import { SearchedMembers, selects } from '../../src/policy/members.ts'
import { POLICY_KIND_NAMES, type PolicyResource, readPolicy } from '../../src/policy/policies.ts'
import { readProfile } from '../../src/policy/profiles.ts'
import { orderPolicies } from '../../src/policy/tiers.ts'
import { byId } from './policies.ts'
import { LINKS, OWN } from './policy-lab.ts'
import { idOf, type Random, type World } from './random-policies.ts'

/** Random worlds as the engine and as the evaluator take them. */

export const SERVICES = new Map([
  [
    'red/shop',
    [
      { address: parseIp('10.65.0.3'), protocol: 6, port: 80 },
      { address: parseIp('2001:db8:65::3'), protocol: 17, port: 53 },
    ],
  ],
])
const PEERS = { 4: ['192.0.2.9'], 6: ['2001:db8:1::9'] }
const PEER_SETS: readonly NftObject[] = ([4, 6] as const).map((family) => ({
  kind: 'set',
  name: `hosts${family}`,
  family,
  isInterval: false,
  elements: new Set(PEERS[family]),
}))
const isWorkload = (name: string) => name.startsWith('mgy')
const interfaces = LINKS.map((name) => ({ name, addresses: OWN[name].map(parseIp) }))

const LIMIT = { rate: 10, seconds: 1, burst: 5 } as const

/** What differs from world to world beside what is in the store. */
export interface Variant {
  readonly endpointToHost: 'Drop' | 'Return'
  readonly deny: 'drop' | 'reject'
  readonly failsafes: Failsafes
  readonly form: Form
  readonly logs: LogSettings | undefined
  readonly implicit: ImplicitInput
  readonly tunnels: readonly TunnelPacket[]
}

/** What hosts say to each other, on ports that the packets have. */
function randomImplicit(random: Random): ImplicitInput {
  const peers = ['192.0.2.10', '203.0.113.9', '2001:db8:2::9'].map((ip) => ({ ip: parseIp(ip), port: random(2) === 0 ? 443 : 80 }))
  return {
    vxlanPort: random(2) === 0 ? 4789 : undefined,
    hasIpip: random(2) === 0,
    wireguardPorts: random(2) === 0 ? { 4: 53 } : { 6: 53 },
    bgp: random(2) === 0 ? undefined : { port: 80, hasHosts: random(2) === 0, peers },
    etcd: { endpoints: peers.map(({ ip }) => ({ ip, port: 22 })), ownPorts: random(2) === 0 ? [443] : [] },
    externalHosts: random(2) === 0 ? ['203.0.113.0/28', '198.51.100.7'] : [],
  }
}

/** The sets that the rules of a world name and that are not the engine's. */
export function setsBeside({ implicit }: Variant): readonly NftObject[] {
  return [...PEER_SETS, ...externalSets(implicit.externalHosts), ...planImplicit(implicit).sets]
}

export function randomVariant(random: Random): Variant {
  return {
    endpointToHost: random(2) === 0 ? 'Drop' : 'Return',
    deny: random(2) === 0 ? 'drop' : 'reject',
    failsafes: random(3) === 0 ? { inbound: [], outbound: [{ protocol: 6, port: 443, net: undefined }] } : DEFAULT_FAILSAFES,
    form: (['any', 'by-port', 'linear'] as const)[random(3)] ?? 'any',
    implicit: randomImplicit(random),
    tunnels: random(2) === 0 ? [{ protocol: 17, port: 4789 }, { protocol: 4 }] : [{ protocol: 99 }, { protocol: 17, port: 53 }],
    logs: random(2) === 0 ? { group: 77, verdicts: LIMIT, logAction: random(2) === 0 ? LIMIT : undefined } : undefined,
  }
}

export function policyHost(variant: Variant): PolicyHost {
  const implicit = planImplicit(variant.implicit).rules
  return {
    node: 'h1',
    interfaces,
    settings: { ...variant, implicit, workloadInterfaces: ['mgy*'], dropsInvalid: true, markBit: 0x1000_0000 },
  }
}

/** The measure of what decides in such a world: everything looked for in everything. */
export function policedHost(world: World, { endpointToHost, failsafes, implicit, tunnels }: Variant): PolicedHost {
  const all = [...world.values()]
  const ofKind = <T extends PolicyInput>(...kinds: readonly T['kind'][]) => all.filter((one): one is T => kinds.includes(one.kind))
  const profiles = byId(ofKind<Profile>('Profile'))
  const policies = ofKind<PolicyResource>(...POLICY_KIND_NAMES).flatMap((one) => readPolicy(one) ?? [])
  const tiers = byId(ofKind<Tier>('Tier'))
  const local = (id: string, endpoint: WorkloadEndpoint | HostEndpoint): LocalEndpoint => {
    const labelled = labelledOf(endpoint)
    const selecting = policies.filter(({ selector }) => labelled !== undefined && selects(selector, labelled, profiles))
    return {
      id,
      tiers: orderPolicies(selecting, tiers),
      profiles: (endpoint.spec.profiles ?? []).map((name) => readProfile(name, profiles.get(name))),
    }
  }
  const here = ofKind<WorkloadEndpoint>('WorkloadEndpoint').filter(({ spec }) => spec.node === 'h1')
  const { byInterface, wildcard } = planHostEndpoints(ofKind<HostEndpoint>('HostEndpoint'), interfaces, isWorkload)
  const labelled = ofKind<LabelledTypes[keyof LabelledTypes]>('WorkloadEndpoint', 'HostEndpoint', 'GlobalNetworkSet', 'NetworkSet')
  const peers = [...PEERS[4], ...PEERS[6]]
  const settings: PathSettings = {
    ...{ endpointToHost, failsafes, tunnels, dropsInvalid: true, isWorkloadInterface: isWorkload },
    implicit: planImplicit(implicit).allowsOf((ip) => peers.includes(ip)),
  }
  return {
    settings,
    workloads: new Map(here.map((endpoint) => [endpoint.spec.interfaceName ?? '', local(endpoint.metadata.name, endpoint)])),
    hostEndpoints: new Map([...byInterface].map(([name, endpoint]) => [name, local(endpoint.metadata.name, endpoint)])),
    wildcard: wildcard && local('*', wildcard),
    members: new SearchedMembers({ labelled: labelled.flatMap((one) => labelledOf(one) ?? []), profiles, services: SERVICES }),
  }
}

/** Takes the engine from one world to the next, by what differs. */
export function moveTo(engine: PolicyEngine, before: World, after: World): void {
  for (const [key, resource] of before) if (!after.has(key)) engine.set(resource.kind, idOf(resource), undefined)
  for (const resource of after.values()) engine.set(resource.kind, idOf(resource), resource)
}
