import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startProbe } from '../../scripts/lab/probe.ts'
import { untilReached } from '../support/fault.ts'
import { apply, globalPolicy, hostEndpoint, portStates, remove, untilPort } from '../support/policed.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/policy')

const ONLY_WEB = { types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }] }

test('workloads: what a policy does not allow is closed, for those that come later too, and open again when it goes', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [client, db] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2', ['--label', 'role=db'])]
    await untilReached(client, db)
    await apply(lab.daemon('h1'), globalPolicy('db', { selector: 'role == "db"', ...ONLY_WEB }))
    const look = (addresses: readonly string[]) => portStates(client.namespace, addresses, 80, 81)
    assert.equal(await look(db.addresses), { 80: 'open', 81: 'closed' })
    const later = ['10.65.7.7', 'fd65::7:7']
    const probes = later.map((to) => startProbe(client.namespace, { to }))
    const late = await lab.addWorkload('h2', 'w3', ['--label', 'role=db', '--ip', later[0] ?? '', '--ip', later[1] ?? ''])
    for (const address of late.addresses) await untilPort(client.namespace, address, 80, 'open')
    assert.equal(await look(late.addresses), { 80: 'open', 81: 'closed' })
    for (const probe of probes) probe.stop()
    for (const { ended } of probes) assert.is((await ended).received, 0, 'nothing got through before the rules were there')
    await remove(lab.daemon('h2'), 'globalnetworkpolicy', 'db')
    assert.equal(await look(db.addresses), { 80: 'open', 81: 'open' })
  })
})

test('hosts: a host endpoint closes a host but for failsafe ports and its policies; the tunnel goes on', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [{ host }, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const pair = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')] as const
    const look = () => portStates(far.host, [host.ipv4, host.ipv6], 22, 80, 81)
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'open' })
    await apply(far, globalPolicy('web', { selector: 'host == "yes"', ...ONLY_WEB }), hostEndpoint('h1-eth0', { interfaceName: 'eth0' }))
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'closed' })
    for (const family of [4, 6] as const) await untilReached(pair[0], pair[1], family)
    await remove(far, 'hostendpoint', 'h1-eth0')
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'open' })
  })
})

test.run()
