// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { isWithin } from '../../scripts/lab/pcap.ts'
import { isReachable } from '../../scripts/lab/probe.ts'
import { refused, succeeded, withLab } from '../support/scenario.ts'

const test = suite('acceptance/ipam')

async function applyPool(lab: Lab, name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
  const pool = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec }
  succeeded(await lab.daemon('h1').margay(['apply', '-f', '-'], JSON.stringify(pool)))
}

test('IPAM-1 a workload gets its address from the pool that was added last', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', config: { pools: { create: false } } }, async (lab) => {
    const bare = await lab.topology.addNamespace('w0')
    refused(await lab.daemon('h1').margay(['workload', 'add', 'w0', '--netns', bare.path]), 'pool')
    await applyPool(lab, 'late', { cidr: '10.88.0.0/24', blockSize: 28, vxlanMode: 'Always' })
    const [first, second] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')]
    for (const { addresses } of [first, second])
      assert.ok(
        addresses.every((address) => isWithin(address, '10.88.0.0/24')),
        addresses.join(),
      )
    const to = second.addresses[0] ?? ''
    await until({ what: 'the two to reach each other' }, async () => ((await isReachable(first.namespace, to)) ? true : undefined))
  })
})

test('IPAM-1 ipam show tells of one address, of its owner and of totals', async () => {
  await withLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const { addresses } = await lab.addWorkload('h1', 'web')
    const address = addresses.find((one) => !one.includes(':')) ?? ''
    const one = succeeded(await daemon.margay(['ipam', 'show', '--ip', address]))
    assert.match(one, address)
    assert.match(one, 'web')
    assert.match(one, 'h1')
    assert.match(succeeded(await daemon.margay(['ipam', 'show', '--ip', '10.65.250.1'])), 'not assigned')
    const totals = succeeded(await daemon.margay(['ipam', 'show']))
    assert.match(totals, '10.65.0.0/16')
    assert.match(totals, '65536')
    assert.match(succeeded(await daemon.margay(['ipam', 'show', '--show-blocks'])), /10\.65\.\d+\.\d+\/26/)
  })
})

test('IPAM-2 a full pool refuses, and what is released is given again, with requested and automatic addresses mixed', async () => {
  const config = { pools: { create: false }, address: { ipv6: { address: 'none' } } }
  await withLab({ hosts: [0], etcd: 'plain', mode: 'direct', config }, async (lab) => {
    const daemon = lab.daemon('h1')
    await applyPool(lab, 'small', { cidr: '10.88.0.0/29', blockSize: 29, vxlanMode: 'Never' })
    const names = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7']
    const args = (name: string) => (name === 'w2' ? ['--ip', '10.88.0.5'] : [])
    const taken = new Map<string, string>()
    for (const name of names) taken.set(name, (await lab.addWorkload('h1', name, args(name))).addresses.join())
    assert.is(new Set(taken.values()).size, 8, 'eight different addresses')
    assert.is(taken.get('w2'), '10.88.0.5')
    const ninth = await lab.topology.addNamespace('w8')
    const add = (...more: readonly string[]) => daemon.margay(['workload', 'add', 'w8', '--netns', ninth.path, ...more])
    refused(await add(), 'small')
    refused(await add('--ip', '10.88.0.5'), '10.88.0.5')
    succeeded(await daemon.margay(['workload', 'rm', 'w2']))
    const said = succeeded(await add())
    assert.match(said, '10.88.0.5')
    succeeded(await daemon.margay(['workload', 'rm', 'w8']))
    assert.match(succeeded(await add('--ip', '10.88.0.5')), '10.88.0.5')
  })
})

test.run()
