// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import { type LabDaemon, untilStatus } from '../../scripts/lab/daemon.ts'
import { startProbe } from '../../scripts/lab/probe.ts'
import type { LabHost, Namespace } from '../../scripts/lab/topology.ts'
import { addressOf, IS_LONG, untilReached } from '../support/fault.ts'
import { apply, globalPolicy, hostEndpoint, portStates, remove, untilPort } from '../support/policed.ts'
import { shareLab, succeeded } from '../support/scenario.ts'
import { connection, type Passage } from '../support/traffic.ts'

const test = suite('lab/policy')
const inLab = shareLab(test, { hosts: [0, 0], etcd: 'plain', mode: 'vxlan' })
const inLoneLab = shareLab(test, { hosts: [0], etcd: 'plain', config: { address: { ipv4: { method: 'interface=^eth0$' } } } })

const ONLY_WEB = { types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }] }

test('workloads: what a policy does not allow is closed, for those that come later too, and open again when it goes', async () => {
  await inLab(async (lab) => {
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
    for (const { ended } of probes) {
      const { sent, received } = await ended
      assert.equal([sent > 0, received], [true, 0], 'nothing got through before the rules were there')
    }
    await remove(lab.daemon('h2'), 'globalnetworkpolicy', 'db')
    assert.equal(await look(db.addresses), { 80: 'open', 81: 'open' })
  })
})

test('hosts: a host endpoint closes a host but for failsafe ports and its policies; the tunnel goes on', async () => {
  await inLab(async (lab) => {
    const [{ host }, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const pair = [await lab.addWorkload('h1', 'far1'), await lab.addWorkload('h2', 'far2')] as const
    const look = () => portStates(far.host, [host.ipv4, host.ipv6], 22, 80, 81)
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'open' })
    await apply(far, globalPolicy('web', { selector: 'host == "yes"', ...ONLY_WEB }), hostEndpoint('h1-eth0', { interfaceName: 'eth0' }))
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'closed' })
    for (const family of [4, 6] as const) await untilReached(pair[0], pair[1], family)
    await remove(far, 'hostendpoint', 'h1-eth0')
    assert.equal(await look(), { 22: 'open', 80: 'open', 81: 'open' })
  })
})

/** h1 and a network of somebody else's, to be joined at `lan0`, from which it is asked. */
async function withLan(name: string, action: (daemon: LabDaemon, lan: Namespace, router: Namespace) => Promise<void>): Promise<void> {
  await inLoneLab(async (lab) => {
    const daemon = lab.daemon('h1')
    const lan = await lab.topology.addNamespace(name)
    await action(daemon, lan, lab.topology.router)
    await run(MACHINE, ['ip', '-n', daemon.host.name, 'link', 'del', 'lan0'])
    await remove(daemon, 'hostendpoint', 'lan')
  })
}

async function addLan(host: LabHost, lan: Namespace): Promise<void> {
  const at = (name: string, ...args: readonly string[]) => run(MACHINE, ['ip', '-n', name, ...args])
  await at(host.name, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', lan.name)
  await at(host.name, 'addr', 'add', '203.0.113.1/24', 'dev', 'lan0')
  await at(host.name, 'link', 'set', 'lan0', 'up')
  await at(lan.name, 'addr', 'add', '203.0.113.2/24', 'dev', 'eth0')
  await at(lan.name, 'link', 'set', 'eth0', 'up')
}

test('a host endpoint that names an interface governs it from its first packet, through renaming and making anew', async () => {
  await withLan('lan-a', async (daemon, lan) => {
    const { host } = daemon
    await apply(daemon, hostEndpoint('lan', { interfaceName: 'lan0' }))
    const rename = async (from: string, to: string) => {
      await run(MACHINE, ['ip', '-n', host.name, 'link', 'set', from, 'down'])
      await run(MACHINE, ['ip', '-n', host.name, 'link', 'set', from, 'name', to])
      await run(MACHINE, ['ip', '-n', host.name, 'link', 'set', to, 'up'])
    }
    const look = async (state: Passage) => {
      await untilPort(lan, '203.0.113.1', 22, 'open')
      assert.is(await connection(lan, '203.0.113.1', 80), state)
    }
    await addLan(host, lan)
    await look('closed')
    await rename('lan0', 'other0')
    await look('open')
    await rename('other0', 'lan0')
    await look('closed')
    await run(MACHINE, ['ip', '-n', host.name, 'link', 'del', 'lan0'])
    await addLan(host, lan)
    await look('closed')
  })
})

test('a host endpoint that expects an address follows it to another interface', async () => {
  await withLan('lan-b', async (daemon, lan, router) => {
    const { host } = daemon
    await addLan(host, lan)
    await apply(daemon, hostEndpoint('lan', { expectedIPs: ['203.0.113.9'] }))
    const at = (...args: readonly string[]) => run(MACHINE, ['ip', '-n', host.name, 'addr', ...args])
    assert.equal(await portStates(lan, ['203.0.113.1'], 80), { 80: 'open' })
    await at('add', '203.0.113.9/32', 'dev', 'lan0')
    await untilPort(lan, '203.0.113.1', 80, 'closed')
    await at('del', '203.0.113.9/32', 'dev', 'lan0')
    await at('add', '203.0.113.9/32', 'dev', 'eth0')
    await untilPort(lan, '203.0.113.1', 80, 'open')
    await untilPort(router, host.ipv4, 80, 'closed')
    assert.equal(await portStates(router, [host.ipv4], 22), { 22: 'open' })
  })
})

/** Where other tests run at the same time looking itself takes long. */
const REPAIR_MS = IS_LONG ? 1000 : 5000

test('rules that somebody takes away are back within a second', async () => {
  await withLan('lan-c', async (daemon, lan) => {
    const { host } = daemon
    await addLan(host, lan)
    await apply(daemon, hostEndpoint('lan', { interfaceName: 'lan0' }))
    assert.equal(await portStates(lan, ['203.0.113.1'], 80), { 80: 'closed' })
    await run(host, ['nft', 'flush', 'ruleset'])
    await untilPort(lan, '203.0.113.1', 80, 'closed', REPAIR_MS)
    await untilStatus(daemon, 'the repair to be counted', ({ repairs }) => repairs > 0)
  })
})

test('a daemon that is killed amid changes lets through nothing that was denied before and after, and stops nothing that was allowed', async () => {
  await inLab(async (lab) => {
    const [daemon, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const client = await lab.addWorkload('h2', 'killed1')
    const [closed, open] = [await lab.addWorkload('h1', 'killed2', ['--label', 'role=killed']), await lab.addWorkload('h1', 'killed3')]
    const policy = (port: number) =>
      globalPolicy('killed', {
        selector: 'role == "killed"',
        types: ['Ingress'],
        ingress: [{ action: 'Allow', protocol: 'TCP', source: { selector: `turn != "${port}"` }, destination: { ports: [port] } }],
      })
    await untilReached(client, closed)
    await apply(far, policy(1))
    await untilReached(client, open)
    const denied = startProbe(client.namespace, { to: addressOf(closed) })
    const allowed = startProbe(client.namespace, { to: addressOf(open) })
    await allowed.running
    for (const [turn, waitMs] of KILLED_AFTER_MS.entries()) {
      const written = far.margay(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...policy(turn + 2) }))
      const port = turn + 2
      // The moment is what is varied: some before the change arrives, some in it, some after it.
      await Promise.race([written, new Promise((resolve) => setTimeout(resolve, 5000))])
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      await daemon.stop('SIGKILL')
      succeeded(await written)
      await daemon.start()
      await untilPort(client.namespace, addressOf(closed), port, 'open')
    }
    for (const probe of [denied, allowed]) probe.stop()
    const [passed, { sent, lost }] = [(await denied.ended).received, await allowed.ended]
    process.stdout.write(`${KILLED_AFTER_MS.length} times killed: ${passed} denied packets passed, ${lost} of ${sent} allowed ones lost\n`)
    assert.equal([passed, lost], [0, 0])
  })
})

const KILLED_AFTER_MS = [0, 2, 5, 10, 20]

test('policies of a tier that is deleted while it is in use deny as before', async () => {
  await inLab(async (lab) => {
    const [client, db] = [await lab.addWorkload('h1', 'tiered1'), await lab.addWorkload('h2', 'tiered2', ['--label', 'role=tiered'])]
    await untilReached(client, db)
    const tier = { kind: 'Tier', metadata: { name: 'first' }, spec: { order: 10 } }
    await apply(lab.daemon('h1'), tier, globalPolicy('first.db', { tier: 'first', selector: 'role == "tiered"', ...ONLY_WEB }))
    const look = () => portStates(client.namespace, [addressOf(db)], 80, 81)
    assert.equal(await look(), { 80: 'open', 81: 'closed' })
    await lab.etcd.control(['del', '/calico/resources/v3/projectcalico.org/tiers/first'])
    await apply(lab.daemon('h1'), { kind: 'GlobalNetworkSet', metadata: { name: 'after' }, spec: {} })
    assert.equal(await look(), { 80: 'open', 81: 'closed' })
  })
})

test('of two who write policies at once both are heard, and all hosts come to the same', async () => {
  await inLab(async (lab) => {
    const client = await lab.addWorkload('h1', 'written1')
    const servers = [
      await lab.addWorkload('h1', 'written2', ['--label', 'role=written']),
      await lab.addWorkload('h2', 'written3', ['--label', 'role=written']),
    ]
    const policy = (name: string, port: number) =>
      globalPolicy(name, {
        selector: 'role == "written"',
        types: ['Ingress'],
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [port] } }],
      })
    for (const turn of [1, 2, 3]) {
      await Promise.all(
        lab.daemons.map(async (daemon, i) => {
          const documents = [policy('shared', 1000 + i), policy(`own-${i}`, 2000 + 10 * i + turn)].map((one) =>
            JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...one }),
          )
          succeeded(await daemon.margay(['apply', '-f', '-'], documents.join('\n---\n')))
        }),
      )
    }
    await apply(lab.daemon('h1'), { kind: 'GlobalNetworkSet', metadata: { name: 'after-writing' }, spec: {} })
    const seen = await Promise.all(
      servers.map((server) => portStates(client.namespace, [addressOf(server)], 1000, 1001, 2002, 2003, 2012, 2013)),
    )
    assert.equal(seen[0], seen[1])
    const { 1000: first, 1001: second, ...own } = seen[0] ?? {}
    assert.equal([first, second].sort(), ['closed', 'open'], 'one of both was last')
    assert.equal(own, { 2002: 'closed', 2003: 'open', 2012: 'closed', 2013: 'open' })
  })
})

test.run()
