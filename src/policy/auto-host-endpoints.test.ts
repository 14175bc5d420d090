import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aNode } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { KubeControllersConfiguration } from '../model/kube-controllers-configuration.ts'
import type { Node } from '../model/node.ts'
import { API_VERSION } from '../model/resource.ts'
import { parseIp } from '../net/ip.ts'
import { autoChanges, orphans, planAutoHostEndpoints } from './auto-host-endpoints.ts'

const test = suite('policy/auto-host-endpoints')

const plain = aNode('h1', { v4: '192.0.2.1/24', v6: '2001:db8::1/64', tunnel4: '10.65.0.0', tunnel6: 'fd65::', labels: { rack: 'a' } })
const node: Node = {
  ...plain,
  spec: {
    ...plain.spec,
    interfaces: [
      { name: 'eth0', addresses: ['192.0.2.1', '2001:db8::1'].map(parseIp) },
      { name: 'eth1.100', addresses: ['198.51.100.1'].map(parseIp) },
      { name: 'br_lan', addresses: ['203.0.113.1'].map(parseIp) },
    ],
  },
}

type HostEndpointSettings = Record<string, unknown>

function configured(hostEndpoint: HostEndpointSettings): KubeControllersConfiguration {
  const spec = { controllers: { node: { hostEndpoint } } }
  return {
    apiVersion: API_VERSION,
    kind: 'KubeControllersConfiguration',
    metadata: { name: 'default' },
    spec,
  } as KubeControllersConfiguration
}

function plan(settings: HostEndpointSettings): readonly HostEndpoint[] {
  return planAutoHostEndpoints(node, configured({ autoCreate: 'Enabled', ...settings }))
}

const show = ({ metadata, spec }: HostEndpoint) => `${metadata.name}: ${spec.interfaceName ?? '-'} ${spec.expectedIPs?.join(' ')}`
const ALL = '192.0.2.1 2001:db8::1 10.65.0.0 fd65:: 198.51.100.1 203.0.113.1'

test('nothing is made unless it is asked for', () => {
  assert.equal(planAutoHostEndpoints(node, undefined), [])
  assert.equal(planAutoHostEndpoints(node, configured({})), [])
  assert.equal(planAutoHostEndpoints(node, configured({ autoCreate: 'Disabled' })), [])
})

test('the default one is for all interfaces, knows all addresses, bears the labels of the Node and changes nothing by itself', () => {
  assert.equal(plan({}), [
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'HostEndpoint',
      metadata: { name: 'h1-auto-hep', labels: { rack: 'a', 'projectcalico.org/created-by': 'margay' } },
      spec: { node: 'h1', interfaceName: '*', expectedIPs: ALL.split(' '), profiles: ['projectcalico-default-allow'] },
    },
  ])
})

const cases: readonly { name: string; template: Record<string, unknown>; want: readonly string[] }[] = [
  {
    name: 'a template with prefixes is for the addresses in them',
    template: { generateName: 'lan', interfaceCIDRs: ['198.51.100.0/24', '2001:db8::/32'] },
    want: ['h1-lan-auto-hep: - 2001:db8::1 198.51.100.1'],
  },
  {
    name: 'a template whose prefixes hold no address makes none',
    template: { generateName: 'lan', interfaceCIDRs: ['10.9.0.0/16'] },
    want: [],
  },
  {
    name: 'a template with a pattern makes one for each interface that it matches',
    template: { generateName: 'if', interfacePattern: '^(?:eth)', interfaceCIDRs: ['203.0.113.0/24'] },
    want: ['h1-if-eth0-auto-hep: eth0 203.0.113.1 192.0.2.1 2001:db8::1', 'h1-if-eth1.100-auto-hep: eth1.100 203.0.113.1 198.51.100.1'],
  },
  {
    name: "flags of a pattern are Go's",
    template: { generateName: 'if', interfacePattern: '(?i)^ETH0$' },
    want: ['h1-if-eth0-auto-hep: eth0 192.0.2.1 2001:db8::1'],
  },
  {
    name: "an interface's name that can't be part of a name is hashed",
    template: { generateName: 'if', interfacePattern: 'br_' },
    want: ['dfac29da15813eaa292056ff927d730cad32e36c797e7528282fb0ee9a23c05f-auto-hep: br_lan 203.0.113.1'],
  },
  {
    name: 'a template is for the hosts that its selector matches',
    template: { interfacePattern: 'eth0', nodeSelector: 'rack == "b"' },
    want: [],
  },
  {
    name: 'without a name of its own it is called by the interface',
    template: { interfacePattern: 'eth0', nodeSelector: 'rack == "a"' },
    want: ['h1-eth0-auto-hep: eth0 192.0.2.1 2001:db8::1'],
  },
]

for (const { name, template, want } of cases) {
  test(name, () => assert.equal(plan({ createDefaultHostEndpoint: 'Disabled', templates: [template] }).map(show), want))
}

test("a template's labels go over those of the Node, and who made it over both", () => {
  const labels = { rack: 'x', zone: 'z', 'projectcalico.org/created-by': 'me' }
  const [, made] = plan({ templates: [{ interfacePattern: 'eth0', labels, annotations: { note: 'n' } }] })
  assert.equal(made?.metadata.labels, { rack: 'x', zone: 'z', 'projectcalico.org/created-by': 'margay' })
  assert.equal(made?.metadata.annotations, { note: 'n' })
})

test('a name of 253 characters and more is hashed', () => {
  const long = { ...node, metadata: { ...node.metadata, name: `h${'1'.repeat(250)}` } }
  const [made] = planAutoHostEndpoints(long, configured({ autoCreate: 'Enabled' }))
  assert.match(made?.metadata.name ?? '', /^[0-9a-f]{64}-auto-hep$/)
})

test('only what margay made is changed or removed, and of other hosts nothing', () => {
  const wanted = plan({ templates: [{ interfacePattern: '^eth' }] })
  const ours = (name: string, spec: HostEndpoint['spec']) => aHostEndpoint(name, spec, { 'projectcalico.org/created-by': 'margay' })
  const stored = [
    ...wanted
      .slice(0, 1)
      .map((one) => ({ ...one, metadata: { ...one.metadata, resourceVersion: '5', uid: 'u', annotations: { old: 'yes' } } })),
    aHostEndpoint('h1-eth0-auto-hep', { interfaceName: 'eth0' }),
    ours('h1-eth9-auto-hep', { interfaceName: 'eth9' }),
    ours('h2-auto-hep', { node: 'h2', interfaceName: '*' }),
    aHostEndpoint('mine', { interfaceName: 'eth0' }),
  ]
  const existing = new Map(stored.map((one) => [one.metadata.name, one]))
  const { create, update, remove, taken } = autoChanges('h1', wanted, existing)
  const names = (all: readonly HostEndpoint[]) => all.map(({ metadata }) => metadata.name)
  assert.equal(names(create), ['h1-eth1.100-auto-hep'])
  assert.equal(update, [{ ...wanted[0], metadata: { ...wanted[0]?.metadata, resourceVersion: '5', uid: 'u' } }])
  assert.equal(names(remove), ['h1-eth9-auto-hep'])
  assert.equal(taken, ['h1-eth0-auto-hep'])
  assert.equal(names(orphans(stored, new Map([['h1', node]]))), ['h2-auto-hep'])
})

test('what is as it should be is not written again', () => {
  const wanted = plan({ templates: [{ interfacePattern: '^eth', annotations: { note: 'n' } }] })
  const existing = new Map(wanted.map((one) => [one.metadata.name, { ...one, metadata: { ...one.metadata, resourceVersion: '5' } }]))
  assert.equal(autoChanges('h1', wanted, existing), { create: [], update: [], remove: [], taken: [] })
})

test.run()
