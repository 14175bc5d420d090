import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Cidr } from '../net/cidr.ts'
import {
  affinityKey,
  blockKey,
  escapeName,
  handleKey,
  liveKey,
  parseAffinityKey,
  parseHandleKey,
  parseKey,
  resourceKey,
  unescapeName,
} from './keys.ts'
import { findKind, RESOURCE_KINDS } from './kinds.ts'

const test = suite('model/keys')

test('keys are Calico’s', () => {
  assert.is(resourceKey('IPPool', 'default-ipv4-ippool'), '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool')
  assert.is(
    resourceKey('WorkloadEndpoint', 'h1-cni-x-eth0', 'ns'),
    '/calico/resources/v3/projectcalico.org/workloadendpoints/ns/h1-cni-x-eth0',
  )
  assert.is(blockKey('10.0.0.0/26' as Cidr), '/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26')
  assert.is(blockKey('fd80:24e2::/122' as Cidr), '/calico/ipam/v2/assignment/ipv6/block/fd80:24e2::-122')
  assert.is(affinityKey('h1', '10.0.0.0/26' as Cidr), '/calico/ipam/v2/host/h1/ipv4/block/10.0.0.0-26')
  assert.is(handleKey('vxlan-tunnel-addr-h1'), '/calico/ipam/v2/handle/vxlan-tunnel-addr-h1')
  assert.is(liveKey('h1'), '/margay/v1/live/h1')
  assert.is(resourceKey('Service', 'web', 'ns'), '/margay/v1/service/ns/web')
})

const parsed = [
  [resourceKey('Node', 'h1'), { kind: 'Node', id: 'h1' }],
  [resourceKey('WorkloadEndpoint', 'w', 'ns'), { kind: 'WorkloadEndpoint', id: 'ns/w' }],
  [blockKey('fd80:24e2::/122' as Cidr), { kind: 'IPAMBlock', id: 'fd80:24e2::/122' }],
  ['/margay/v1/live/h1', { kind: 'Live', id: 'h1' }],
  ['/calico/resources/v3/projectcalico.org/nodes/', undefined],
  ['/calico/resources/v3/projectcalico.org/nodes/a/b', undefined],
  ['/calico/resources/v3/projectcalico.org/workloadendpoints/a', undefined],
  ['/calico/resources/v3/projectcalico.org/later/a', undefined],
  ['/calico/ipam/v2/assignment/ipv4/block/nonsense', undefined],
  ['/calico/ipam/v2/host/h1/ipv4/block/10.0.0.0-26', undefined],
  ['/margay/v1/leader/x', undefined],
  ['/margay/v1/service/ns/web', { kind: 'Service', id: 'ns/web' }],
  ['/margay/v1/service/web', undefined],
  ['/margay/v1/service/ns/', undefined],
  ['/calico/resources/v3/projectcalico.org/services/ns/web', undefined],
] as const
for (const [key, want] of parsed) {
  test(`${key} is ${JSON.stringify(want)}`, () => assert.equal(parseKey(key), want))
}

test('affinities and handles are found in their keys', () => {
  assert.equal(parseAffinityKey('/calico/ipam/v2/host/h-1/ipv4/block/10.0.0.0-26'), { host: 'h-1', cidr: '10.0.0.0/26' })
  assert.is(parseAffinityKey('/calico/ipam/v2/host/h1'), undefined)
  assert.is(parseHandleKey('/calico/ipam/v2/handle/a.b'), 'a.b')
})

test('names are escaped and back', () => {
  assert.is(escapeName('a/b%2fc'), 'a%2fb%252fc')
  assert.is(unescapeName(escapeName('a/b%2fc%25')), 'a/b%2fc%25')
})

test('a kind is found by any of its names', () => {
  for (const text of ['IPPool', 'ippool', 'ippools', 'POOL', 'pools', 'ipp', 'ipps']) assert.is(findKind(text), 'IPPool')
  for (const text of ['wep', 'weps', 'workloadendpoints']) assert.is(findKind(text), 'WorkloadEndpoint')
  for (const kind of RESOURCE_KINDS) assert.is(findKind(kind), kind)
  assert.is(findKind('toString'), undefined)
})

test.run()
