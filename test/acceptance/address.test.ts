// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import type { ConfigFile } from '../../scripts/lab/daemon.ts'
import { type Lab, overlay, POOLS } from '../../scripts/lab/lab.ts'
import { refused, succeeded, withIdleLab } from '../support/scenario.ts'

const test = suite('acceptance/address')

/** A second network card without a cable: a pair whose other end stays in the host. */
async function addCard(lab: Lab, name: string, ...addresses: readonly string[]): Promise<void> {
  const { host } = lab.daemon('h1')
  await run(MACHINE, ['ip', '-n', host.name, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}x`])
  for (const end of [name, `${name}x`]) await run(MACHINE, ['ip', '-n', host.name, 'link', 'set', end, 'up'])
  for (const address of addresses) await run(MACHINE, ['ip', '-n', host.name, 'addr', 'add', address, 'dev', name, ...nodad(address)])
}

function nodad(address: string): readonly string[] {
  return address.includes(':') ? ['nodad'] : []
}

/** A host with its own card and a second one, `lan1`, in another subnet. */
async function withTwoCards(config: ConfigFile, action: (lab: Lab) => Promise<void>): Promise<void> {
  await withIdleLab(
    { hosts: [0], etcd: 'plain', config: overlay({ address: { ipv6: { address: 'none' } }, pools: { ipv4: { cidr: POOLS[4] } } }, config) },
    async (lab) => {
      await addCard(lab, 'lan1', '203.0.113.7/24')
      await action(lab)
    },
  )
}

async function nodeAddress(lab: Lab): Promise<string | undefined> {
  const node = JSON.parse(succeeded(await lab.daemon('h1').margay(['get', 'node', 'h1', '-o', 'json']))) as {
    readonly spec: { readonly bgp?: { readonly ipv4Address?: string } }
  }
  return node.spec.bgp?.ipv4Address
}

const found = [
  // Of several that fit, the one that leads to etcd.
  { method: 'first-found', want: '192.0.2.11/24' },
  { method: 'interface=^lan1$', want: '203.0.113.7/24' },
  { method: 'skip-interface=^lan1$', want: '192.0.2.11/24' },
  { method: 'cidr=203.0.113.0/24', want: '203.0.113.7/24' },
  { method: 'can-reach=203.0.113.99', want: '203.0.113.7/24' },
  { method: 'can-reach=198.51.100.1', want: '192.0.2.11/24' },
]
for (const { method, want } of found) {
  test(`ADDR-1 ${method} finds ${want}`, async () => {
    await withTwoCards({ address: { ipv4: { method } } }, async (lab) => {
      await lab.daemon('h1').start()
      assert.is(await nodeAddress(lab), want)
    })
  })
}

test('ADDR-1 the first found is the only one there is', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    await lab.daemon('h1').start()
    assert.is(await nodeAddress(lab), '192.0.2.11/24')
  })
})

test('ADDR-1 an address that is given is taken', async () => {
  await withTwoCards({ address: { ipv4: { address: '203.0.113.7/24' } } }, async (lab) => {
    await lab.daemon('h1').start()
    assert.is(await nodeAddress(lab), '203.0.113.7/24')
  })
})

const refusals = [
  { title: 'two addresses that fit', ipv4: { method: 'skip-interface=^eth0$' }, names: ['203.0.113.7', '10.9.0.7'] },
  { title: 'an interface that is not there', ipv4: { method: 'interface=^lan9$' }, names: ['lan9', '192.0.2.11', '203.0.113.7'] },
  { title: 'a subnet without an address', ipv4: { method: 'cidr=10.1.0.0/16' }, names: ['10.1.0.0/16', '192.0.2.11', '203.0.113.7'] },
  { title: 'an address that no interface has', ipv4: { address: '203.0.113.8' }, names: ['203.0.113.8', '192.0.2.11', '203.0.113.7'] },
]
for (const { title, ipv4, names } of refusals) {
  test(`ADDR-1 ${title}: refused with the candidates`, async () => {
    await withTwoCards({ address: { ipv4 } }, async (lab) => {
      await addCard(lab, 'lan2', '10.9.0.7/24')
      refused(await lab.daemon('h1').runToEnd(), ...names)
    })
  })
}

interface Pool {
  readonly metadata: { readonly name: string }
  readonly spec: Readonly<Record<string, unknown>>
}

async function poolsOf(lab: Lab): Promise<readonly Pool[]> {
  const parsed = JSON.parse(succeeded(await lab.daemon('h1').margay(['get', 'ippool', '-o', 'json']))) as
    | Pool
    | readonly Pool[]
    | { items: Pool[] }
  if (Array.isArray(parsed)) return parsed as readonly Pool[]
  return 'items' in parsed ? parsed.items : [parsed as Pool]
}

test('ADDR-2 default pools are as the configuration says', async () => {
  const pools = {
    ipv4: { cidr: '10.77.0.0/20', blockSize: 28, natOutgoing: false },
    ipv6: { cidr: 'fd77::/64', blockSize: 124, natOutgoing: true },
  }
  await withIdleLab({ hosts: [0], etcd: 'plain', mode: 'vxlan', config: { pools } }, async (lab) => {
    await lab.daemon('h1').start()
    const shown = (await poolsOf(lab)).map(({ spec }) => [spec['cidr'], spec['blockSize'], spec['natOutgoing'] ?? false, spec['vxlanMode']])
    assert.equal(shown.sort(), [
      ['10.77.0.0/20', 28, false, 'Always'],
      ['fd77::/64', 124, true, 'Always'],
    ])
  })
})

test('ADDR-2 no pool is created when told so', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain', config: { pools: { create: false } } }, async (lab) => {
    await lab.daemon('h1').start()
    assert.is(await lab.etcd.control(['get', '/calico/resources/v3/projectcalico.org/ippools/', '--prefix', '--keys-only']), '')
  })
})

const badPools = [
  { title: 'malformed', ipv4: { cidr: '10.77.0/20' }, names: ['pools.ipv4.cidr', '10.77.0'] },
  { title: 'with host bits', ipv4: { cidr: '10.77.0.1/20' }, names: ['pools.ipv4.cidr', '10.77.0.1/20'] },
  { title: 'too small for one block', ipv4: { cidr: '10.77.0.0/28', blockSize: 26 }, names: ['pools.ipv4', '/28', '26'] },
  { title: 'with a block size that is none', ipv4: { cidr: '10.77.0.0/16', blockSize: 33 }, names: ['pools.ipv4.blockSize', '33'] },
]
for (const { title, ipv4, names } of badPools) {
  test(`ADDR-2 a default pool ${title} is refused with the field`, async () => {
    await withIdleLab({ hosts: [0], etcd: 'plain', config: { pools: { ipv4 } } }, async (lab) => {
      refused(await lab.daemon('h1').runToEnd(), ...names)
      assert.is(await lab.etcd.control(['get', '/calico/', '--prefix', '--keys-only']), '', 'nothing may be written')
    })
  })
}

test('ADDR-2 a pool that overlaps another is refused when it is applied', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    await lab.daemon('h1').start()
    const pool = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'second' }, spec: { cidr: '10.65.128.0/20' } }
    refused(await lab.daemon('h1').margay(['apply', '-f', '-'], JSON.stringify(pool)), '10.65.128.0/20', '10.65.0.0/16')
  })
})

test.run()
