import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, joinNamespaces, type Namespace, openUdp, until } from '../../test/support/nft-lab.ts'
import { byFamily } from '../../test/support/planning.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { IPPool } from '../model/ip-pool.ts'
import { parseCidr } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { type NatInput, planNat } from '../routing/nat.ts'
import { type FrameInput, HOST_SETS, planFrame, TUNNEL_INTERFACES, WORKLOAD_INTERFACES } from './frame.ts'

const test = suite('policy/packets')

const { signal } = new AbortController()
const never = new Map<string, NftObject>()
const VXLAN_PORT = 4789
const vxlan = { port: VXLAN_PORT, isAllowedFromWorkloads: false }

/*
 *   workload ──mgyw1── host ──eth0── underlay (a known and an unknown host, no route back to the pools)
 *   10.65.0.2            │ │         192.0.2.2, .3    2001:db8:1::2, ::3
 *                        │ └─ margay.vxlan ── tunnel (stands for all that a tunnel reaches)
 *                        └─ lan0 ── lan 203.0.113.2, not ours
 */
interface Lab {
  readonly host: Namespace
  readonly underlay: Namespace
  readonly workload: Namespace
  readonly lan: Namespace
  readonly tunnel: Namespace
  readonly table: NftablesTable
}

let labels = 0

async function inLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  const label = `p${labels++}`
  const [host, underlay, workload, lan, tunnel] = ['h', 'u', 'w', 'l', 't'].map((part) => createNamespace(`${label}${part}`))
  if (!host || !underlay || !workload || !lan || !tunnel) throw new Error('five namespaces')
  const table = new NftablesTable({ netns: host.path, log: silentLogger })
  try {
    joinNamespaces(host, 'eth0', underlay, 'eth0')
    joinNamespaces(host, 'mgyw1', workload, 'eth0')
    joinNamespaces(host, 'lan0', lan, 'eth0')
    joinNamespaces(host, 'margay.vxlan', tunnel, 'eth0')
    addAddresses(host, 'eth0', '192.0.2.1/24', '2001:db8:1::1/64')
    addAddresses(host, 'mgyw1', '10.65.0.1/24', '2001:db8:65::1/64')
    addAddresses(host, 'lan0', '203.0.113.1/24', '2001:db8:2::1/64')
    addAddresses(host, 'margay.vxlan', '10.65.1.0/32', '2001:db8:65:1::/128')
    addAddresses(underlay, 'eth0', '192.0.2.2/24', '192.0.2.3/24', '2001:db8:1::2/64', '2001:db8:1::3/64')
    addAddresses(workload, 'eth0', '10.65.0.2/24', '2001:db8:65::2/64')
    addAddresses(lan, 'eth0', '203.0.113.2/24', '2001:db8:2::2/64')
    addAddresses(tunnel, 'eth0', '10.65.7.7/24', '2001:db8:65:7::7/64')
    host.ip('route add 10.65.7.0/24 dev margay.vxlan', '-6 route add 2001:db8:65:7::/64 dev margay.vxlan')
    host.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
    workload.ip('route add default via 10.65.0.1', '-6 route add default via 2001:db8:65::1')
    lan.ip('route add default via 203.0.113.1', '-6 route add default via 2001:db8:2::1')
    tunnel.ip('route add 10.65.0.0/16 dev eth0', '-6 route add 2001:db8:65::/48 dev eth0')
    underlay.ip('route add 203.0.113.0/24 via 192.0.2.1', '-6 route add 2001:db8:2::/64 via 2001:db8:1::1')
    await work({ host, underlay, workload, lan, tunnel, table })
  } finally {
    table.close()
    for (const namespace of [host, underlay, workload, lan, tunnel]) namespace.remove()
  }
}

function addAddresses(namespace: Namespace, link: string, ...addresses: readonly string[]): void {
  namespace.ip(...addresses.map((address) => `addr add ${address} dev ${link}${address.includes(':') ? ' nodad' : ''}`))
}

function frame(more: Partial<FrameInput> = {}): readonly NftObject[] {
  const interfaces = { workloadInterfaces: WORKLOAD_INTERFACES, tunnelInterfaces: TUNNEL_INTERFACES, otherInterfaces: ['docker*'] }
  const hosts = byFamily(['192.0.2.1', '192.0.2.2', '2001:db8:1::1', '2001:db8:1::2'].map(parseIp))
  return planFrame({ hosts, externalHosts: [], vxlan, forwardOnlyOurs: false, ...interfaces, ...more })
}

function nat(more: Partial<NatInput> = {}): readonly NftObject[] {
  const pools = ['10.65.0.0/16', '2001:db8:65::/48'].map(
    (cidr): IPPool => ({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: cidr },
      spec: { cidr: parseCidr(cidr), natOutgoing: true },
    }),
  )
  return planNat({ pools, felix: {}, tunnels: [], vxlanPort: VXLAN_PORT, hostSets: HOST_SETS, ...more })
}

async function put(table: NftablesTable, objects: readonly NftObject[]): Promise<void> {
  const failures = await table.commit({ put: new Map(objects.map((object) => [keyOf.policy(object), object])), remove: never }, signal)
  assert.equal([...failures.values()], [])
}

/** The packets that rules with these words have counted. */
function counted(namespace: Namespace, family: string, table: string, words: string): number {
  const lines = namespace.run('nft', 'list', 'table', family, table).split('\n')
  const counts = lines.filter((line) => line.includes(words)).map((line) => Number(/counter packets (\d+)/.exec(line)?.[1] ?? 0))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Counts UDP packets that come in, by source. */
function countSources(namespace: Namespace, ...sources: readonly string[]): void {
  namespace.run('nft', 'add table inet probe; add chain inet probe in { type filter hook input priority 10; }')
  for (const source of sources) {
    namespace.run('nft', `add rule inet probe in ${source.includes(':') ? 'ip6' : 'ip'} saddr ${source} meta l4proto udp counter`)
  }
}

const families = [
  {
    name: 'IPv4',
    any: '0.0.0.0',
    host: '192.0.2.1',
    known: '192.0.2.2',
    unknown: '192.0.2.3',
    workload: '10.65.0.2',
    gateway: '10.65.0.1',
    lan: '203.0.113.2',
    vtep: '10.65.1.0',
    remote: '10.65.7.7',
  },
  {
    name: 'IPv6',
    any: '::',
    host: '2001:db8:1::1',
    known: '2001:db8:1::2',
    unknown: '2001:db8:1::3',
    workload: '2001:db8:65::2',
    gateway: '2001:db8:65::1',
    lan: '2001:db8:2::2',
    vtep: '2001:db8:65:1::',
    remote: '2001:db8:65:7::7',
  },
]

for (const f of families) {
  test(`${f.name}: tunnel packets come in from known hosts only, untracked, and a host that goes is shut out at once`, () =>
    inLab(async ({ host, underlay, table }) => {
      await put(table, [...frame(), ...nat()])
      host.run('nft', 'add table inet probe; add chain inet probe in { type filter hook input priority 10; }')
      host.run('nft', `add rule inet probe in udp dport ${VXLAN_PORT} ct state untracked counter`)
      const receiver = openUdp(host, f.any, VXLAN_PORT)
      const [known, unknown] = [openUdp(underlay, f.known), openUdp(underlay, f.unknown)]
      unknown.send(f.host, VXLAN_PORT, 'unknown')
      known.send(f.host, VXLAN_PORT, 'known')
      assert.equal(await receiver.receiveUntil('known'), [])
      assert.is(counted(host, 'inet', 'margay', 'fib daddr type local counter'), 1)
      assert.is(counted(host, 'inet', 'probe', 'untracked'), 1)
      await put(table, frame({ hosts: byFamily([f.unknown as Ip]) }))
      known.send(f.host, VXLAN_PORT, 'gone')
      unknown.send(f.host, VXLAN_PORT, 'new')
      assert.equal(await receiver.receiveUntil('new'), [])
      for (const socket of [receiver, known, unknown]) socket.close()
    }))

  test(`${f.name}: what a workload sends out of all pools has the host's address, what stays in the pools has its own`, () =>
    inLab(async ({ host, underlay, workload, tunnel, table }) => {
      countSources(underlay, f.host, f.workload)
      countSources(tunnel, f.host, f.workload)
      const [outside, inside] = [openUdp(underlay, f.any, 7777), openUdp(tunnel, f.any, 7777)]
      const sender = openUdp(workload, f.workload, 5555)
      const ping = (address: string) => workload.run('sh', '-c', `ping -c1 -W1 ${address} >/dev/null 2>&1 && echo yes || echo no`).trim()
      assert.is(ping(f.unknown), 'no', 'there is no way back without translation')
      await put(table, [...frame(), ...nat()])
      assert.is(ping(f.unknown), 'yes')
      sender.send(f.known, 7777, 'out')
      sender.send(f.remote, 7777, 'in')
      await Promise.all([outside.receiveUntil('out'), inside.receiveUntil('in')])
      assert.equal(
        [f.host, f.workload].map((source) => counted(underlay, 'inet', 'probe', `saddr ${source} `)),
        [1, 0],
      )
      assert.equal(
        [f.host, f.workload].map((source) => counted(tunnel, 'inet', 'probe', `saddr ${source} `)),
        [0, 1],
      )
      // Ping is counted by the general rule, UDP by its own.
      assert.is(counted(host, 'inet', 'margay', 'masquerade'), 2)
      for (const socket of [outside, inside, sender]) socket.close()
    }))

  test(`${f.name}: the host's own packets into a tunnel get the tunnel's address, whatever they were bound to`, () =>
    inLab(async ({ host, tunnel, table }) => {
      countSources(tunnel, f.host, f.vtep)
      await put(table, [...frame(), ...nat({ tunnels: [{ link: 'margay.vxlan', address: f.vtep as Ip }] })])
      const receiver = openUdp(tunnel, f.any, 7777)
      const [bound, right] = [openUdp(host, f.host), openUdp(host, f.vtep)]
      bound.send(f.remote, 7777, 'bound')
      right.send(f.remote, 7777, 'right')
      assert.equal(await receiver.receiveUntil('right'), ['bound'])
      assert.equal(
        [f.host, f.vtep].map((source) => counted(tunnel, 'inet', 'probe', `saddr ${source} `)),
        [0, 2],
      )
      for (const socket of [receiver, bound, right]) socket.close()
    }))

  test(`${f.name}: a workload cannot send tunnel packets, neither to its host nor through it`, () =>
    inLab(async ({ host, underlay, workload, table }) => {
      await put(table, [...frame({ hosts: byFamily([f.workload, f.known].map(parseIp)) }), ...nat()])
      const sender = openUdp(workload, f.workload)
      const receivers = [openUdp(host, f.any, VXLAN_PORT), openUdp(underlay, f.any, VXLAN_PORT)]
      const controls = [openUdp(host, f.any, 7777), openUdp(underlay, f.any, 7777)]
      const targets = [f.gateway, f.known]
      for (const target of targets) sender.send(target, VXLAN_PORT, 'tunnelled')
      for (const target of targets) sender.send(target, 7777, 'plain')
      for (const control of controls) await control.receiveUntil('plain')
      assert.equal(
        receivers.map((receiver) => receiver.receive()),
        [undefined, undefined],
      )
      assert.is(counted(host, 'inet', 'margay', 'iifname "mgy*" counter'), 2)
      for (const socket of [sender, ...receivers, ...controls]) socket.close()
    }))

  test(`${f.name}: a host that did not forward before forwards for our interfaces only`, () =>
    inLab(async ({ host, underlay, workload, lan, table }) => {
      const sender = openUdp(underlay, f.known)
      const receiver = openUdp(lan, f.any, 7777)
      const ours = openUdp(workload, f.workload)
      await put(table, [...frame(), ...nat()])
      sender.send(f.lan, 7777, 'before')
      await receiver.receiveUntil('before')
      await put(table, frame({ forwardOnlyOurs: true }))
      sender.send(f.lan, 7777, 'after')
      ours.send(f.lan, 7777, 'ours')
      assert.equal(await receiver.receiveUntil('ours'), [])
      assert.is(counted(host, 'inet', 'margay', 'iifname != "mgy*"'), 1)
      assert.is(workload.run('sh', '-c', `ping -c1 -W1 ${f.lan} >/dev/null && echo yes || echo no`).trim(), 'yes', 'answers come back')
      for (const socket of [sender, receiver, ours]) socket.close()
    }))
}

test('5,000 hosts are let in, and one more costs one element', () =>
  inLab(async ({ host, underlay, table }) => {
    const many = Array.from({ length: 5000 }, (_, i) => parseIp(`198.51.${100 + (i >> 8)}.${i & 255}`))
    const started = performance.now()
    await put(table, frame({ hosts: byFamily(many) }))
    const loadMs = performance.now() - started
    const receiver = openUdp(host, '0.0.0.0', VXLAN_PORT)
    const sender = openUdp(underlay, '192.0.2.2')
    sender.send('192.0.2.1', VXLAN_PORT, 'early')
    await until('the drop', () => (counted(host, 'inet', 'margay', 'fib daddr type local counter') === 1 ? true : undefined))
    const start = performance.now()
    await put(table, frame({ hosts: byFamily([...many, parseIp('192.0.2.2')]) }))
    const oneMs = performance.now() - start
    sender.send('192.0.2.1', VXLAN_PORT, 'known')
    assert.equal(await receiver.receiveUntil('known'), [])
    console.log(`  frame with 5,000 hosts: load ${loadMs.toFixed(1)} ms, one host more ${oneMs.toFixed(2)} ms with planning`)
    receiver.close()
    sender.close()
  }))

test.run()
