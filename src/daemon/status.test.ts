import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anInterface, never, until } from '../../test/support/daemon.ts'
import { withHost } from '../../test/support/host.ts'
import { aFelix, aNode, anEndpoint } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import { KernelError } from '../errors.ts'
import { putPool, putValue } from '../ipam/fixtures.ts'
import { resourceKey } from '../model/keys.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { MemoryStore } from '../store/memory.ts'
import { applyResource } from '../store/resource-store.ts'
import { desiredReport, diffReport, notAlive, notReady, statusReport } from './status.ts'
import { VERSION } from './version.ts'

const CNI = { orchestrator: 'cni', containerID: 'c1', workload: '' }

const test = suite('daemon/status')

async function aNetwork(): Promise<MemoryStore> {
  const store = new MemoryStore()
  await putPool(store, 'v4', '10.65.0.0/16', { vxlanMode: 'Always' })
  await applyResource(store, aNode('h2', { v4: '192.0.2.2/24', tunnel4: '10.65.2.0' }), never)
  return store
}

test('a host that works shows its network', async () => {
  await withHost(
    async (host) => {
      host.start()
      await until('the tunnel', () => host.kernel.read('fdb').size > 0 && notReady(host.statusParts).length === 0)
      const { tunnelAddresses, version, revision, appliedRevision, peers, policy, loopDelayP999Ms, ...rest } = await statusReport(
        host.statusParts,
      )
      const { rules = 0, ...counts } = policy ?? {}
      assert.equal(counts, { policies: 0, staged: 0, tiers: 0, workloads: 0, hostEndpoints: [] })
      assert.ok(rules > 0)
      assert.equal(rest, {
        node: 'h1',
        mode: { configured: 'vxlan-cross-subnet', pools: 'vxlan', isDifferent: true },
        isReady: true,
        notReady: [],
        store: { endpoints: ['http://192.0.2.250:2379'], isConnected: true, isFromSavedView: false },
        addresses: ['192.0.2.1/24'],
        mtuBytes: 1450,
        workloads: 0,
        failures: [],
        repairs: 0,
        warnings: [],
        collector: { mode: 'on', isLeading: false, waiting: 0, collected: { addresses: 0, blocks: 0, handles: 0 } },
        trials: [],
      })
      assert.match(tunnelAddresses.join(), /^10\.65\.\d+\.\d+$/)
      assert.equal(
        peers.map(({ node, mode, tunnel, isReachable, isAlive }) => ({ node, mode, tunnel, isReachable, isAlive })),
        [{ node: 'h2', mode: 'vxlan', tunnel: 'margay.vxlan', isReachable: true, isAlive: false }],
      )
      assert.equal([version, appliedRevision <= revision, loopDelayP999Ms], [VERSION, true, 0])
      assert.equal(notAlive(host.statusParts), [])
    },
    await aNetwork(),
  )
})

test('a policy that does not parse is named; it makes the host unready only where nobody can tell whom it is for', async () => {
  const store = await aNetwork()
  const write = (name: string, value: string) => putValue(store, resourceKey('GlobalNetworkPolicy', name), value)
  await withHost(async (host) => {
    await write('told', '{"metadata":{"name":"told"},"spec":{"order":"x","selector":"has(a)"}}')
    await write('dark', '{"metadata":{"name":"dark"},"spec":{"selector":5}}')
    host.start()
    const isNamed = async () => host.passes.length > 0 && (await statusReport(host.statusParts)).warnings.length === 2
    await until('both policies are named', isNamed)
    assert.equal(notReady(host.statusParts), [
      "GlobalNetworkPolicy dark does not parse, and whom it is for can't be read either: not a GlobalNetworkPolicy: spec.selector: must be a string, not 5: put it in quotes",
    ])
    const key = resourceKey('GlobalNetworkSet', 'office')
    await putValue(store, key, '{"metadata":{"name":"office"},"spec":{"nets":["x"]}}')
    await until('the set is named', () => notReady(host.statusParts).some((reason) => reason.startsWith('GlobalNetworkSet office ')))
    await putValue(store, key, '{"metadata":{"name":"office"},"spec":{"nets":["198.51.100.0/24"]}}')
    // The watch goes on: what comes after it is seen.
    await write('dark', '{"metadata":{"name":"dark"},"spec":{"selector":"has(b)"}}')
    await until('the host is ready', () => notReady(host.statusParts).length === 0)
    const { warnings } = await statusReport(host.statusParts)
    assert.equal(warnings, [
      'GlobalNetworkPolicy told does not parse (not a GlobalNetworkPolicy: spec.order: must be a number, not "x"); what it is for is closed but for failsafe ports',
    ])
  }, store)
})

test('before anything is known it says what is waited for, and has no numbers that are none', async () => {
  await withHost(async ({ statusParts }) => {
    assert.equal(notReady(statusParts), ['the first view of etcd is not applied yet'])
    const away = { ...statusParts, connection: { isConnected: false, reason: 'connection refused' } }
    assert.equal(notReady(away), ['etcd is away and there is no saved view: connection refused'])
    assert.equal(notReady({ ...away, admission: 'no address yet' }), ['no address yet'])
    const embedded = { ...away, config: { ...away.config, etcd: { ...away.config.etcd, embedded: true } } }
    assert.equal(notReady(embedded), ['etcd is away and there is no saved view: connection refused (systemctl status margay-etcd)'])
    const { mtuBytes, peers, addresses } = await statusReport(away)
    assert.equal({ mtuBytes, peers, addresses }, { mtuBytes: 0, peers: [], addresses: [] })
  })
})

test('a loop that is stuck is no life', async () => {
  await withHost(async ({ statusParts }) => {
    const stuck = { idleMs: 91_000 } as typeof statusParts.loop
    assert.equal(notAlive({ loop: stuck }), ['no pass has ended for 91 s'])
  })
})

test('what the kernel refuses of the host is a failure and a reason, what it refuses of a workload only the former', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    host.kernel.refuse('links', 'margay.vxlan', new KernelError('file exists', { errno: 17 }))
    host.start()
    await until('the failure', () => host.reconciler.failures().length > 0)
    assert.equal(notReady(host.statusParts), ['links margay.vxlan: file exists'], 'what waits for it is no reason of its own')
    const report = await statusReport(host.statusParts)
    assert.equal(report.failures[0], { table: 'links', key: 'margay.vxlan', reason: 'file exists' })
    assert.equal([...new Set(report.failures.slice(1).map(({ reason }) => reason))], ['waits for margay.vxlan'])
    assert.equal(
      report.peers.map(({ isReachable, reason }) => ({ isReachable, reason })),
      [{ isReachable: false, reason: 'file exists' }],
    )
    await applyResource(store, anEndpoint('h1-cni-c1-eth0', 'h1', ['10.65.9.9/32'], { ...CNI, interfaceName: 'cali0' }), never)
    await until('the endpoint', () => host.statusParts.planner.context?.endpoints.size === 1)
    const routes = () => [...host.statusParts.merger.tables.routes].flatMap(([key, { link }]) => (link === 'cali0' ? [key] : []))
    await until('its route to be planned', () => routes().length === 1)
    const routeKey = routes()[0] ?? ''
    const failures = [
      { table: 'links', key: 'mgy0123456789a', error: new KernelError('no') },
      { table: 'sysctls', key: 'net/ipv4/conf/cali0/rp_filter', error: new KernelError('not there') },
      { table: 'routes', key: routeKey, error: new KernelError('not there') },
    ] as const
    const ofWorkload = { ...host.statusParts, reconciler: { failures: () => failures } as unknown as typeof host.reconciler }
    assert.equal(notReady(ofWorkload), [])
  }, store)
})

test('failsafe ports that are open to everybody are named where a host endpoint is, and only those', async () => {
  const store = await aNetwork()
  await withHost(async (host) => {
    host.start()
    await until('a first pass', () => notReady(host.statusParts).length === 0)
    assert.is((await statusReport(host.statusParts)).openFailsafes, undefined)
    await applyResource(store, aHostEndpoint('other', { node: 'h2', interfaceName: '*' }), never)
    await applyResource(store, aHostEndpoint('eth0', { interfaceName: 'eth0' }), never)
    const failsafes = {
      failsafeInboundHostPorts: [
        { protocol: 'tcp', port: 22, net: parseInterfaceAddress('0.0.0.0/0') },
        { protocol: 'tcp', port: 2379, net: parseInterfaceAddress('192.0.2.0/24') },
        { protocol: 'udp', port: 68 },
      ],
      failsafeOutboundHostPorts: [],
    } as const
    await applyResource(store, aFelix('default', failsafes), never)
    await until('both', async () => (await statusReport(host.statusParts)).openFailsafes?.outbound.length === 0)
    const { openFailsafes, warnings } = await statusReport(host.statusParts)
    assert.equal(openFailsafes, { inbound: ['tcp 22 (0.0.0.0/0)', 'udp 68'], outbound: [] })
    assert.equal(warnings, [
      'failsafe ports are open to the whole world: tcp 22 (0.0.0.0/0), udp 68; give them a net in FelixConfiguration failsafeInboundHostPorts',
    ])
  }, store)
})

test('what does not parse, and an address that is gone, are warnings', async () => {
  const store = await aNetwork()
  await putValue(store, resourceKey('Tier', 'broken'), '{')
  await withHost(async (host) => {
    host.start()
    await until('the tunnel', () => host.kernel.read('fdb').size > 0)
    host.kernel.setInterfaces([anInterface('eth1', [])])
    await until('the problem', () => host.host.factsProblem)
    const warnings = (await statusReport(host.statusParts)).warnings.join('\n')
    assert.match(warnings, /^Tier broken does not parse \(.*\); what it is for is closed but for failsafe ports$/m)
    assert.match(warnings, /^no interface has an IPv4 address/m)
  }, store)
})

test('the difference names what is missing, too much, or otherwise', async () => {
  await withHost(
    async (host) => {
      host.start()
      await until('the tunnel', () => host.kernel.read('fdb').size > 0 && notReady(host.statusParts).length === 0)
      assert.equal(await diffReport(host.kernel.tables, host.merger, never), { differences: [] })
      const stray = [...host.kernel.read('neighbours').values()][0]
      const listed = new Map([['margay.vxlan 10.65.9.9', stray]])
      host.kernel.tables.neighbours.list = async () => listed as never
      const { differences } = await diffReport(host.kernel.tables, host.merger, never)
      assert.equal(differences, [
        { table: 'neighbours', key: 'margay.vxlan 10.65.2.0', want: stray },
        { table: 'neighbours', key: 'margay.vxlan 10.65.9.9', have: stray },
      ])
      assert.equal(Object.keys((await desiredReport(host.merger))['neighbours'] ?? {}), ['margay.vxlan 10.65.2.0'])
    },
    await aNetwork(),
  )
})

test.run()
