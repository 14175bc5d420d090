import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aProfile, aStagedGlobalPolicy, aTier, byId } from '../../test/support/policies.ts'
import { showNft } from '../../test/support/show-nft.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import type { GlobalNetworkPolicy } from '../model/network-policy.ts'
import type { CountedRule } from './counted-rule.ts'
import type { DispatchInput, DispatchSettings } from './dispatch.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { ListCompiler } from './lists.ts'
import { type Policy, readPolicy } from './policies.ts'
import { readProfile } from './profiles.ts'
import { Ruleset } from './ruleset.ts'
import { orderPolicies } from './tiers.ts'

const test = suite('policy/dispatch')

const settings: DispatchSettings = {
  workloadInterfaces: ['mgy*'],
  endpointToHost: 'Drop',
  failsafes: { inbound: [{ protocol: 6, port: 22 }], outbound: [] },
  dropsInvalid: true,
  implicit: [{ name: 'VXLAN', protocol: 17, port: 4789, peers: [{ family: 4, set: 'hosts4' }] }],
  tunnels: [{ protocol: 17, port: 4789 }, { protocol: 4 }],
  markBit: 0x1000_0000,
  deny: 'drop',
  shapeOf: () => 'hash',
}
/** What workloads may always ask of their gateway. */
const GATEWAY = [
  'protocol 17 dport 67 daddr 169.254.1.1',
  'protocol 17 dport 67 daddr 255.255.255.255',
  'protocol 17 dport 547 daddr fe80::1',
  'protocol 17 dport 547 daddr ff02::1:2',
  ...[17, 6].flatMap((protocol) => ['169.254.1.1', 'fe80::1'].map((address) => `protocol ${protocol} dport 53 daddr ${address}`)),
]
const tiers = byId([aTier('default', { order: 10 }), aTier('first', { order: 1, defaultAction: 'Pass' })])
const open = readProfile('open', aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] }))

function policies(...specs: readonly GlobalNetworkPolicy['spec'][]): readonly Policy[] {
  return specs.flatMap((spec, i) => readPolicy(aGlobalPolicy(`p${i}`, spec)) ?? [])
}

function endpoint(id: string, list: readonly Policy[] = [], profiles = [open]): LocalEndpoint {
  return { id, tiers: orderPolicies(list, tiers), profiles }
}

/** A host's endpoints by the names of their interfaces. */
type HostInput = Omit<DispatchInput, 'workloads'> & { readonly workloads: ReadonlyMap<string, LocalEndpoint> }

function plan(input: Partial<HostInput>): { readonly objects: readonly NftObject[]; readonly rules: ReadonlyMap<string, CountedRule> } {
  const ruleset = new Ruleset()
  tell(ruleset, input, new ListCompiler(settings))
  const objects = [...ruleset.objects.all.values()].sort((a, b) => rankOf(a) - rankOf(b))
  return { objects, rules: ruleset.held.rules }
}

function tell(ruleset: Ruleset, { workloads = new Map(), ...input }: Partial<HostInput>, lists: ListCompiler): void {
  for (const [link, endpoint] of workloads) {
    const steps = ruleset.setWorkload(link, { link, endpoint }, { settings, lists })
    while (!steps.next().done);
  }
  const { workloads: state } = ruleset
  ruleset.setHostEndpoints({ settings, hostEndpoints: new Map(), wildcard: undefined, ...input, workloads: state }, lists)
  ruleset.settle(lists)
}

/** As they are read best: sets, maps, chains, base chains. */
function rankOf(object: NftObject): number {
  if (object.kind === 'chain') return object.hook === undefined ? 2 : 3
  return object.kind === 'set' && object.key === 'interface' ? 1 : 0
}

/** Names made of contents in the order in which they come up; counters by what they stand for. */
function shown(input: Partial<HostInput>): readonly string[] {
  const { objects, rules } = plan(input)
  const names = new Map([...rules].map(([name, rule]) => [name, describe(rule)]))
  const text = showNft(objects.filter(({ kind }) => kind !== 'counter')).join('\n')
  return text
    .replaceAll(/\b((?:[a-z]+-)*[a-z]+\d?_)[0-9a-f]{20}\b/g, (name, prefix) => {
      const short = names.get(name) ?? `${prefix}${names.size - rules.size + 1}`
      names.set(name, short)
      return short
    })
    .split('\n')
}

function describe(rule: CountedRule): string {
  if (rule.by === 'policy') return `${rule.name}/${rule.rule}`
  return rule.by === 'profile' ? `${rule.profile}/${rule.rule}` : rule.by === 'tier' ? `end-of-${rule.tier}` : rule.by
}

const web = policies({ types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }] })

test('workloads: two chains for all, maps to their own, and dropped where a map says nothing', () => {
  assert.equal(
    shown({
      workloads: new Map([
        ['mgyw1', endpoint('w1', web)],
        ['mgyw2', endpoint('w2', web)],
      ]),
    }),
    [
      'map from-workloads: mgyw1 goto e_1, mgyw2 goto e_1',
      'map to-workloads: mgyw1 goto e_2, mgyw2 goto e_2',
      'chain e_1',
      '  counter open/0 accept',
      '  counter end drop',
      'chain e_2',
      '  protocol 6 dport 80 counter p0/0 accept',
      '  counter end-of-default drop',
      'chain from-workload_3',
      '  ct-state established,related accept',
      '  ct-state invalid counter drop',
      '  protocol 17 dport 4789 counter drop',
      '  protocol 4 counter drop',
      '  iifname map @from-workloads',
      '  counter drop',
      'chain to-workload_4',
      '  ct-state established,related accept',
      '  ct-state invalid counter drop',
      '  oifname map @to-workloads',
      '  counter drop',
      'chain workload-to-host_5',
      ...[130, 131, 132, 133, 135, 136, 143].map((type) => `  family 6 protocol 58 icmp-type ${type} accept`),
      ...GATEWAY.map((match) => `  ${match} accept`),
      '  goto from-workload_3',
      'chain endpoint-to-host_6',
      '  ct-state established,related accept',
      ...[130, 131, 132, 133, 135, 136, 143].map((type) => `  family 6 protocol 58 icmp-type ${type} accept`),
      ...GATEWAY.map((match) => `  ${match} accept`),
      '  counter endpoint-to-host drop',
      'chain forward-from-workload: filter forward -3',
      '  iifname mgy* goto from-workload_3',
      'chain forward-to-workload: filter forward -2',
      '  oifname mgy* goto to-workload_4',
      'chain input-from-workload: filter input -1',
      '  iifname mgy* goto workload-to-host_5',
      'chain workload-to-host: filter input 0',
      '  iifname mgy* goto endpoint-to-host_6',
    ],
  )
})

test('a host endpoint: failsafes and discovery before policies, in chains that compare the interface', () => {
  const lines = shown({ hostEndpoints: new Map([['eth0', endpoint('h', web)]]), wildcard: endpoint('any', [], []) })
  const from = (start: string) =>
    lines.slice(lines.indexOf(start) + 1).slice(0, lines.slice(lines.indexOf(start) + 1).findIndex((line) => !line.startsWith('  ')) >>> 0)
  const rules = from('chain to-host: filter input 0')
  assert.equal(rules, [
    '  iifname lo accept',
    '  iifname mgy* accept',
    '  ct-state established,related accept',
    '  protocol 17 dport 4789 saddr @hosts4 accept',
    '  iifname eth0 goto to-host.eth0',
    '  goto to-host-other',
  ])
  assert.equal(from('chain to-host.eth0'), [
    '  ct-state invalid counter drop',
    from('chain to-host.eth0')[1],
    ...[130, 131, 132, 143].map((type) => `  family 6 protocol 58 icmp-type ${type} accept`),
    ...[133, 134, 135, 136].map((type) => `  family 6 protocol 58 icmp-type ${type} hop-limit 255 accept`),
    '  protocol 6 dport 80 counter p0/0 accept',
    '  counter end-of-default drop',
  ])
})

test('in the place of rules that are refused a host endpoint has failsafe ports, discovery and what hosts need of each other', () => {
  const chain = plan({ hostEndpoints: new Map([['eth0', endpoint('h', web)]]) }).objects.find(({ name }) => name === 'to-host.eth0')
  const otherwise = chain?.kind === 'chain' ? showNft([{ ...chain, rules: chain.otherwise ?? [] }]) : []
  assert.ok(otherwise.includes('  protocol 6 dport 22 accept'), otherwise.join('\n'))
  assert.ok(otherwise.includes('  protocol 17 dport 4789 saddr @hosts4 accept'))
  assert.is(otherwise.at(-1), '  counter drop')
  assert.not.ok(
    otherwise.some((line) => /[@](?!hosts)|goto|jump/.test(line)),
    'it needs nothing that could be refused too',
  )
})

test('without host endpoints and workloads there is no chain that packets would have to pass', () => {
  assert.equal(plan({ settings: { ...settings, workloadInterfaces: [] } }).objects, [])
})

test('the mark is used where something is allowed early, and nowhere else', () => {
  const early = policies({ types: ['Ingress'], ingress: [{ action: 'Allow' }], preDNAT: true, applyOnForward: true })
  const withMark = (list: readonly Policy[]) =>
    shown({ hostEndpoints: new Map([['eth0', endpoint('h', list)]]) }).filter((line) => line.includes('mark'))
  assert.equal(withMark(web), [])
  assert.equal(withMark(early).length, 8, 'cleared in two chains, set in one, looked at in five')
})

test('policies before tracking or NAT that are only staged count in chains that return, and nothing else is there for them', () => {
  const staged = (spec: GlobalNetworkPolicy['spec']) =>
    readPolicy(aStagedGlobalPolicy('s', { selector: 'all()', applyOnForward: true, types: ['Ingress'], ...spec })) ?? []
  const deny = { action: 'Deny', protocol: 'TCP', destination: { ports: [80] } } as const
  const before = shown({ hostEndpoints: new Map([['eth0', endpoint('h', [])]]) })
  const stages = [
    { base: 'untracked-in', priority: -299, spec: { doNotTrack: true, ingress: [deny] } },
    { base: 'before-nat', priority: -150, spec: { preDNAT: true, ingress: [deny] } },
  ]
  for (const { base, priority, spec } of stages) {
    const lines = shown({ hostEndpoints: new Map([['eth0', endpoint('h', [staged(spec)].flat())]]) })
    const added = lines.filter((line) => !before.includes(line))
    assert.equal(
      added.filter((line) => line.includes(base)),
      [`chain ${base}.eth0`, `chain ${base}: filter prerouting ${priority}`, `  iifname eth0 jump ${base}.eth0`],
    )
    const start = lines.indexOf(`chain ${base}.eth0`)
    assert.is(lines[start + 1], '  protocol 6 dport 22 return', 'a failsafe port is not counted')
    assert.equal(
      added.filter((line) => /mark|notrack|drop|accept/.test(line)),
      [],
    )
    assert.is(added.filter((line) => /dport 80 .*counter s\/0/.test(line)).length, 1, added.join('\n'))
  }
  const both = shown({
    hostEndpoints: new Map([['eth0', endpoint('h', [staged({ preDNAT: true, ingress: [deny] })].flat())]]),
    wildcard: endpoint('other', policies({ types: ['Ingress'], ingress: [deny], preDNAT: true, applyOnForward: true })),
  })
  const start = both.indexOf('  iifname eth0 jump before-nat.eth0')
  assert.is(both[start + 1], '  goto before-nat-other', 'what is enforced for all interfaces is asked next')
})

test('a tier that passes what it does not decide is left by the end of its chain, also where it is taken apart by ports', () => {
  const many = Array.from({ length: 10 }, (_, i) => ({ action: 'Deny', protocol: 'TCP', destination: { ports: [100 + i] } }) as const)
  const list = policies({ tier: 'first', types: ['Ingress'], ingress: many })
  const lines = shown({ workloads: new Map([['mgyw1', endpoint('w1', [...list, ...web])]]) })
  const start = lines.indexOf(`chain ${/mgyw1 goto (e_\d+)/.exec(lines.find((line) => line.startsWith('map to-')) ?? '')?.[1]}`)
  assert.match(lines[start + 1] ?? '', /^ {2}jump t_\d+$/)
  assert.equal(lines.slice(start + 2, start + 4), ['  protocol 6 dport 80 counter p0/0 accept', '  counter end-of-default drop'])
})

test('policies of a longer tier have chains that endpoints share, asked only about the ports that they name', () => {
  const rules = (port: number) =>
    Array.from({ length: 4 }, (_, i) => ({ action: 'Allow', protocol: 'UDP', destination: { ports: [port + i] } }) as const)
  const [a = [], b = []] = [10, 20].map((order) => policies({ types: ['Ingress'], order, ingress: rules(order) }))
  const icmp = policies({ types: ['Ingress'], order: 30, ingress: [{ action: 'Allow', protocol: 'ICMP' }] })
  const lines = shown({
    workloads: new Map([
      ['mgyw1', endpoint('w1', [...a, ...b, ...icmp])],
      ['mgyw2', endpoint('w2', [...b, ...a, ...icmp, ...b])],
    ]),
  })
  assert.is(lines.filter((line) => line.startsWith('chain p_')).length, 2)
  const start = lines.findIndex((line) => line.startsWith('chain q_'))
  assert.equal(
    lines.slice(start + 1, start + 4).map((line) => line.replace(/_\d+/g, '_')),
    ['  dport @d_ jump p_', '  dport @d_ jump p_', '  counter end-of-default drop'],
  )
  const tier = lines.findIndex((line) => line.startsWith('chain t_'))
  assert.equal(
    lines.slice(tier + 1, tier + 4).map((line) => line.replace(/_\d+/g, '_')),
    ['  protocol 17 goto q_', '  protocol 1 counter p0/0 accept', '  counter end-of-default drop'],
  )
})

test('what is told again without a change is the same, object by object, but for the base chains', () => {
  const [lists, ruleset] = [new ListCompiler(settings), new Ruleset()]
  const input = { workloads: new Map([['mgyw1', endpoint('w1', web)]]) }
  tell(ruleset, input, lists)
  ruleset.objects.takeDelta()
  tell(ruleset, input, lists)
  const { put, remove } = ruleset.objects.takeDelta()
  assert.ok(put.every((object) => object.kind === 'chain' && object.hook !== undefined))
  assert.equal(remove, [])
})

test('what nobody refers to any more goes, what another one has too stays', () => {
  const [lists, ruleset] = [new ListCompiler(settings), new Ruleset()]
  const both = new Map([
    ['mgyw1', endpoint('w1', web)],
    ['mgyw2', endpoint('w2', web)],
  ])
  tell(ruleset, { workloads: both }, lists)
  ruleset.objects.takeDelta()
  const forget = (id: string) => {
    for (const _ of ruleset.setWorkload(id, undefined, { settings, lists }));
    ruleset.settle(lists)
    const { put, remove } = ruleset.objects.takeDelta()
    return { put: put.map(keyOf.policy), removed: remove.length }
  }
  assert.equal(forget('mgyw1'), { put: ['set from-workloads', 'set to-workloads'], removed: 0 })
  assert.equal(forget('mgyw2'), { put: ['set from-workloads', 'set to-workloads'], removed: 6 }, 'two chains and what they counted with')
})

test.run()
