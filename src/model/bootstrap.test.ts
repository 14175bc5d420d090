import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Cidr } from '../net/cidr.ts'
import { type BootstrapInput, bootstrapResources, completeClusterInformation } from './bootstrap.ts'
import { checkResource } from './check.ts'
import type { ClusterInformation } from './cluster-information.ts'
import { encodeResource } from './codec.ts'
import type { IPPool } from './ip-pool.ts'
import { modeOf, programsDirectRoutes, showModes } from './mode.ts'
import type { Node } from './node.ts'
import { checkPoolBlocks, checkPoolOverlap, findDuplicateAddresses } from './pools.ts'
import { API_VERSION } from './resource.ts'
import { vtepMac } from './vtep-mac.ts'

const test = suite('model/bootstrap')

function anInput(more: Partial<BootstrapInput> = {}): BootstrapInput {
  let count = 0
  return {
    node: 'h1',
    mode: 'vxlan-cross-subnet',
    clusterType: 'margay',
    pools: [{ family: 4, cidr: '10.65.0.0/16' as Cidr, blockSize: 26, natOutgoing: true, nodeSelector: 'all()' }],
    now: new Date('2026-11-21T10:11:12.345Z'),
    uuid: () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`,
    ...more,
  }
}

function aPool(spec: object, name = 'p'): IPPool {
  return { apiVersion: API_VERSION, kind: 'IPPool', metadata: { name }, spec: { cidr: '10.65.0.0/16' as Cidr, ...spec } }
}

test('the first host creates what Calico’s components create, in their order', () => {
  const made = bootstrapResources(anInput())
  assert.equal(
    made.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [
      'ClusterInformation default',
      'Tier default',
      'Tier kube-admin',
      'Tier kube-baseline',
      'Profile kns.default',
      'KubeControllersConfiguration default',
      'FelixConfiguration default',
      'FelixConfiguration node.h1',
      'BGPConfiguration default',
      'IPAMConfiguration default',
      'IPPool default-ipv4-ippool',
    ],
  )
  assert.equal(made.flatMap(checkResource), [])
  assert.equal(
    made.map((resource) => JSON.stringify(JSON.parse(encodeResource(resource)).spec)),
    [
      '{"clusterGUID":"00000000000040008000000000000004","clusterType":"margay","datastoreReady":true}',
      '{"order":1000000,"defaultAction":"Deny"}',
      '{"order":1000,"defaultAction":"Pass"}',
      '{"order":10000000,"defaultAction":"Pass"}',
      '{"ingress":[{"action":"Allow"}],"egress":[{"action":"Allow"}],"labelsToApply":{"pcns.kubernetes.io/metadata.name":"default","pcns.name":"default","pcns.projectcalico.org/name":"default"}}',
      '{"healthChecks":"Enabled","controllers":{"node":{"hostEndpoint":{"autoCreate":"Disabled"}}}}',
      '{"logSeverityScreen":"Info","reportingInterval":"0s"}',
      '{"defaultEndpointToHostAction":"Return"}',
      '{"logSeverityScreen":"Info","serviceLoadBalancerAggregation":"Enabled"}',
      '{"strictAffinity":false,"autoAllocateBlocks":true}',
      '{"cidr":"10.65.0.0/16","vxlanMode":"CrossSubnet","ipipMode":"Never","natOutgoing":true,"blockSize":26,"nodeSelector":"all()","allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic"}',
    ],
  )
})

test('a mode writes pools and what stands beside them', () => {
  const specs = (mode: BootstrapInput['mode']) => {
    const made = bootstrapResources(anInput({ mode }))
    return [6, 8, 10].map((index) => made[index]?.spec as Record<string, unknown>)
  }
  const [felix, bgp, pool] = specs('direct')
  assert.is(felix?.['programClusterRoutes'], 'Enabled')
  assert.is(bgp?.['nodeToNodeMeshEnabled'], false)
  assert.is(bgp?.['programClusterRoutes'], 'Disabled')
  assert.is(pool?.['vxlanMode'], 'Never')
  assert.is(specs('vxlan')[2]?.['vxlanMode'], 'Always')
})

test('the mode of a pool is read back', () => {
  assert.is(modeOf(aPool({ vxlanMode: 'Always' })), 'vxlan')
  assert.is(modeOf(aPool({ vxlanMode: 'CrossSubnet' })), 'vxlan-cross-subnet')
  assert.is(modeOf(aPool({ ipipMode: 'Always', vxlanMode: 'Never' })), 'ipip')
  assert.is(modeOf(aPool({ ipipMode: 'CrossSubnet' })), 'ipip-cross-subnet')
  assert.is(modeOf(aPool({})), 'direct')
  assert.is(showModes([]), 'none')
  assert.is(showModes([aPool({}), aPool({ vxlanMode: 'Always' }), aPool({})]), 'direct, vxlan')
  assert.equal(
    ['Enabled', 'EnabledNoEncapOnly', 'EnabledIPIPOnly', 'Disabled', undefined].map((programClusterRoutes) =>
      programsDirectRoutes({ programClusterRoutes } as object),
    ),
    [true, true, false, false, false],
  )
})

test('what is missing in ClusterInformation is added, and nothing else is touched', () => {
  const stored = (spec: ClusterInformation['spec']): ClusterInformation => ({
    apiVersion: API_VERSION,
    kind: 'ClusterInformation',
    metadata: { name: 'default' },
    spec,
  })
  const input = anInput()
  assert.equal(
    completeClusterInformation(stored({ clusterType: 'lnw,bgp', calicoVersion: 'v3.32.0', datastoreReady: false, clusterGUID: 'g' }), input)
      ?.spec,
    {
      clusterType: 'lnw,bgp,margay',
      calicoVersion: 'v3.32.0',
      datastoreReady: false,
      clusterGUID: 'g',
    },
  )
  assert.is(completeClusterInformation(stored({ clusterType: 'a,margay', datastoreReady: false, clusterGUID: 'g' }), input), undefined)
  assert.equal(completeClusterInformation(stored({}), input)?.spec, {
    clusterGUID: '00000000000040008000000000000001',
    clusterType: 'margay',
    datastoreReady: true,
  })
})

test('VTEP MACs are Calico’s', () => {
  assert.is(vtepMac('h1', 4), '66:ac:4a:e9:72:85')
  assert.is(vtepMac('h1', 6), '66:26:f6:bd:f8:0b')
})

test('pools must not overlap, nor disagree with blocks', () => {
  const others = [aPool({ cidr: '10.64.0.0/15' }, 'wide'), aPool({}, 'p'), aPool({ cidr: '10.66.0.0/16' }, 'next')]
  assert.equal(checkPoolOverlap(aPool({}), others), [
    { path: 'spec.cidr', message: '10.65.0.0/16 overlaps 10.64.0.0/15 of the pool "wide"' },
  ])
  const block = (cidr: string) => ({ cidr: cidr as Cidr }) as Parameters<typeof checkPoolBlocks>[1] extends Iterable<infer B> ? B : never
  assert.equal(checkPoolBlocks(aPool({}), [block('10.65.1.0/26'), block('10.66.1.0/28')]), [])
  assert.equal(checkPoolBlocks(aPool({}), [block('10.65.1.0/28')]), [
    { path: 'spec.blockSize', message: '26 differs from the block 10.65.1.0/28, which is there already' },
  ])
})

test('two nodes with one address are found, in any notation', () => {
  const aNode = (name: string, bgp: object) => ({ apiVersion: API_VERSION, kind: 'Node', metadata: { name }, spec: { bgp } }) as Node
  const own = aNode('h1', { ipv4Address: '192.0.2.1/24', ipv6Address: '2001:db8::1/64' })
  assert.equal(
    findDuplicateAddresses(own, [
      own,
      aNode('h2', { ipv4Address: '192.0.2.1/32' }),
      aNode('h3', { ipv4Address: '192.0.2.3/24', ipv6Address: '2001:db8::1/128' }),
    ]),
    [
      { node: 'h2', address: '192.0.2.1' },
      { node: 'h3', address: '2001:db8::1' },
    ],
  )
})

test.run()
