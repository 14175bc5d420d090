import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anInterface } from '../../test/support/daemon.ts'
import { aNode } from '../../test/support/planning.ts'
import type { Node } from '../model/node.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { type NodeFacts, nodeRecord } from './node-record.ts'

const test = suite('daemon/node-record')

function someFacts(over: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name: 'h1',
    labels: {},
    address: { 4: parseInterfaceAddress('192.0.2.1/24') },
    tunnel: {},
    interfaces: [anInterface('lo', ['127.0.0.1/8']), anInterface('eth0', ['192.0.2.1/24'])],
    ...over,
  }
}

function record(stored: Node | undefined, over: Partial<NodeFacts> = {}): Node {
  const wanted = nodeRecord(stored, someFacts(over))
  if (wanted === undefined) throw new Error('nothing is to be written')
  return wanted
}

test('a new record has the address and the interfaces of the host', () => {
  assert.equal(record(undefined), {
    apiVersion: 'projectcalico.org/v3',
    kind: 'Node',
    metadata: { name: 'h1' },
    spec: { bgp: { ipv4Address: '192.0.2.1/24' }, interfaces: [{ name: 'eth0', addresses: ['192.0.2.1'] }] },
  })
})

test('what says so already is not written', () => {
  const stored = record(undefined, { labels: { rack: 'a' } })
  assert.is(nodeRecord(stored, someFacts({ labels: { rack: 'a' } })), undefined)
})

test('what others have written stays', () => {
  const stored = aNode('h1', { v4: '192.0.2.9/24', v6: '2001:db8::9/64', tunnel4: '10.65.1.1', labels: { site: 'b' } })
  const theirs = {
    ...stored,
    spec: { ...stored.spec, bgp: { ...stored.spec.bgp, asNumber: 64512 }, wireguard: { a: 1 } },
  } as unknown as Node
  const { metadata, spec } = record(theirs, { tunnel: { 4: parseIp('10.65.1.2') } })
  assert.equal(metadata.labels, { site: 'b' })
  assert.equal(spec, {
    bgp: { asNumber: 64512, ipv4Address: '192.0.2.1/24' },
    wireguard: { a: 1 },
    ipv4VXLANTunnelAddr: '10.65.1.2',
    interfaces: [{ name: 'eth0', addresses: ['192.0.2.1'] }],
  })
})

test('a record without an address has no empty bgp object, which Calico refuses', () => {
  assert.is('bgp' in record(aNode('h1', { v4: '192.0.2.1/24' }), { address: {} }).spec, false)
})

test('a configured label is written, and taken away when it leaves the configuration, and no other', () => {
  const labelled = record(aNode('h1', { v4: '192.0.2.1/24', labels: { theirs: 'x' } }), { labels: { rack: 'a', row: '1' } })
  assert.equal(labelled.metadata.labels, { theirs: 'x', rack: 'a', row: '1' })
  const later = record(labelled, { labels: { row: '2' } })
  assert.equal(later.metadata.labels, { theirs: 'x', row: '2' })
  const last = record(later, { labels: {} })
  assert.equal(last.metadata, { name: 'h1', labels: { theirs: 'x' }, annotations: {} })
})

for (const text of ['not json', '{"a":1}', '[1]']) {
  test(`an annotation ${text} of somebody else takes no label away`, () => {
    const stored = aNode('h1', { labels: { theirs: 'x' } })
    const marked = { ...stored, metadata: { ...stored.metadata, annotations: { 'margay.io/configured-labels': text } } }
    assert.equal(record(marked, { labels: { rack: 'a' } }).metadata.labels, { theirs: 'x', rack: 'a' })
  })
}

test('interfaces of ours, of containers, that are down or without an address are not named', () => {
  const names = ['margay.vxlan', 'mgy0123456789a', 'cali1', 'veth0', 'br-1', 'docker0']
  const others = names.map((name) => anInterface(name, ['10.0.0.1/24']))
  const interfaces = [...others, anInterface('eth1', ['192.0.2.7/24'], { isUp: false }), anInterface('eth2', [])]
  assert.is('interfaces' in record(undefined, { interfaces }).spec, false)
})

test.run()
