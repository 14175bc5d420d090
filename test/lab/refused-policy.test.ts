// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../scripts/lab/command.ts'
import { type LabDaemon, untilStatus } from '../../scripts/lab/daemon.ts'
import { addressOf, untilReached } from '../support/fault.ts'
import { apply, globalPolicy, portStates, remove, untilPort } from '../support/policed.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/refused-policy')

const fromTeam = { selector: 'role == "db"', types: ['Ingress'], ingress: [{ action: 'Allow', source: { selector: 'team == "a"' } }] }
/** What hosts say themselves of TCP to port 80. */
async function explained(daemon: LabDaemon, ...ends: readonly string[]): Promise<string> {
  const { stdout } = await daemon.margay(['explain', ...ends, 'tcp', '80'])
  assert.match(stdout, /^answered by h\d/m)
  return stdout
}

const onlyWeb = {
  selector: 'role == "web"',
  types: ['Ingress'],
  ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }],
}

test('a policy that the kernel refuses isolates what it selects and nothing else, is named with its rule, and heals by itself', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [near, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const client = await lab.addWorkload('h1', 'w1', ['--label', 'team=a'])
    await lab.addWorkload('h1', 'w2', ['--label', 'team=a'])
    const [db, web] = [
      await lab.addWorkload('h2', 'db', ['--label', 'role=db']),
      await lab.addWorkload('h2', 'web', ['--label', 'role=web']),
    ]
    await untilReached(client, db)
    await apply(near, globalPolicy('team', fromTeam))
    const [, set = ''] = /set (s4_\w+)/.exec(await run(far.host, ['nft', 'list', 'sets', 'inet'])) ?? []
    await remove(near, 'globalnetworkpolicy', 'team')

    await far.stop('SIGKILL')
    // The set has room for one address, and two are to be in it.
    await run(far.host, ['nft', `add set inet margay ${set} { type ipv4_addr; size 1; }`])
    const documents = [globalPolicy('team', fromTeam), globalPolicy('web', onlyWeb)].map((one) =>
      JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...one }),
    )
    succeeded(await near.margay(['apply', '-f', '-'], documents.join('\n---\n')))
    await far.start()
    const { notReady } = await untilStatus(far, 'the refusal', ({ isReady }) => !isReady)
    const words = notReady.join('\n')
    for (const part of [set, 'ENFILE', 'of GlobalNetworkPolicy team ingress rule 0', 'for default/h2-margay-db-eth0'])
      assert.ok(words.includes(part), `${part} should be in: ${words}`)
    assert.not.ok(words.includes('web'), words)
    await untilPort(client.namespace, addressOf(web), 80, 'open')
    assert.equal(await portStates(client.namespace, [addressOf(web)], 80, 81), { 80: 'open', 81: 'closed' })
    assert.equal(await portStates(client.namespace, [addressOf(db)], 80, 81), { 80: 'closed', 81: 'closed' })
    const { policy } = await far.status()
    assert.equal([policy?.policies, policy?.staged, policy?.tiers, policy?.workloads], [2, 0, 1, 2])
    assert.match(await explained(near, 'default/w1', 'default/db'), /^deny: .*closed: the kernel does not take its rules: .*ENFILE/m)
    assert.match(await explained(near, 'default/w1', 'default/web'), /^allow: /m)

    await run(far.host, ['nft', 'delete', 'set', 'inet', 'margay', set])
    await untilStatus(far, 'all to be well', ({ isReady }) => isReady)
    await untilPort(client.namespace, addressOf(db), 80, 'open')
  })
})

test('a policy that does not parse closes what it selects, is named, and opens it when it goes', async () => {
  await withLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const client = await lab.addWorkload('h1', 'w1')
    const [db, web] = [await lab.addWorkload('h1', 'db', ['--label', 'role=db']), await lab.addWorkload('h1', 'web')]
    await untilReached(client, db)
    const key = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/dark'
    await lab.etcd.control(['put', key, '{"metadata":{"name":"dark"},"spec":{"selector":"role == \\"db\\"","order":"first"}}'])
    await untilPort(client.namespace, addressOf(db), 80, 'closed')
    assert.equal(await portStates(client.namespace, [addressOf(web)], 80), { 80: 'open' })
    assert.match(await explained(daemon, 'default/w1', 'default/db'), /^deny: .*closed: GlobalNetworkPolicy dark does not parse: .*order/m)
    assert.match(await explained(daemon, 'default/w1', 'default/web'), /^allow: /m)
    const { isReady, warnings } = await daemon.status()
    assert.equal([isReady, warnings.filter((text) => text.startsWith('GlobalNetworkPolicy dark does not parse')).length], [true, 1])
    await lab.etcd.control(['del', key])
    await untilPort(client.namespace, addressOf(db), 80, 'open')
  })
})

test.run()
