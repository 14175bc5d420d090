import type { Test } from 'uvu'
import * as assert from 'uvu/assert'
import { type InterfaceAddress, parseCidr } from '../net/cidr.ts'
import { formatIp, type Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { aPair, aPeer, aTunnel, byKey, eventsUntil, expectOnly, list, put, remove, type World } from './conformance-kit.ts'
import { keyOf, MAIN_TABLE, type Route, type Rule, type TableName, type VethLink } from './objects.ts'
import type { KernelEvent } from './table.ts'

const never = new AbortController().signal

/** Adds the tests that every kernel must pass. */
export function addConformance(test: Test, open: () => World): void {
  const withWorld = (name: string, run: (world: World) => Promise<void>) =>
    test(name, async () => {
      const world = open()
      try {
        await run(world)
      } finally {
        world.close()
      }
    })
  addRouteTests(withWorld)
  addEntryTests(withWorld)
  addRuleTests(withWorld)
  addScaleTests(withWorld)
  addTunnelTests(withWorld)
  addPairTests(withWorld)
  addEventTests(withWorld)
}

type WithWorld = (name: string, run: (world: World) => Promise<void>) => void

function aRoute(destination: string, more: Partial<Route> = {}): Route {
  return { table: MAIN_TABLE, destination: parseCidr(destination), metric: 0, type: 'unicast', link: 'eth0', ...more }
}

function aBlackhole(destination: string): Route {
  return { table: MAIN_TABLE, destination: parseCidr(destination), metric: 0, type: 'blackhole' }
}

function isChange(table: TableName, key: string, isGone: boolean): (event: KernelEvent) => boolean {
  return (event) => event.type === 'changed' && event.table === table && event.key === key && (event.value === undefined) === isGone
}

function addRouteTests(withWorld: WithWorld): void {
  withWorld('routes of both families are put, replaced in every direction and removed', async ({ kernel }) => {
    const via4 = aRoute('10.65.1.0/26', { nextHop: '192.0.2.7' as Ip, mtuBytes: 1400 })
    const via6 = aRoute('2001:db8:65:1::/122', { nextHop: '2001:db8::7' as Ip })
    const variants: Route[][] = [
      [via4, via6],
      [
        { ...via4, nextHop: '192.0.2.8' as Ip },
        { ...via6, nextHop: '2001:db8::8' as Ip, mtuBytes: 1400 },
      ],
      [aBlackhole('10.65.1.0/26'), aBlackhole('2001:db8:65:1::/122')],
      [aRoute('10.65.1.0/26', { source: '192.0.2.10' as Ip }), aRoute('2001:db8:65:1::/122', { source: '2001:db8::10' as Ip })],
      [
        { ...via4, nextHop: '203.0.113.9' as Ip, isOnlink: true },
        { ...via6, nextHop: '2001:db8:9::9' as Ip, isOnlink: true },
      ],
    ]
    for (const routes of [...variants, ...variants.toReversed()]) {
      await put(kernel, 'routes', ...routes)
      await expectOnly(kernel, 'routes', ...routes)
      await put(kernel, 'routes', ...routes)
      await expectOnly(kernel, 'routes', ...routes)
    }
    await remove(kernel, 'routes', ...(variants[0] ?? []))
    await remove(kernel, 'routes', ...(variants[0] ?? []))
    await expectOnly(kernel, 'routes')
  })

  withWorld('routes of other tables and metrics are other routes', async ({ kernel }) => {
    const routes = ['10.65.2.0/26', '2001:db8:65:2::/122'].flatMap((destination) => [
      aRoute(destination),
      aRoute(destination, { metric: 512 }),
      aRoute(destination, { table: 4242 }),
      { table: 4242, destination: parseCidr(destination), metric: 77, type: 'throw' as const },
    ])
    await put(kernel, 'routes', ...routes)
    await expectOnly(kernel, 'routes', ...routes)
    const [first, ...rest] = routes
    if (first !== undefined) await remove(kernel, 'routes', first)
    await expectOnly(kernel, 'routes', ...rest)
    await remove(kernel, 'routes', ...rest)
    await expectOnly(kernel, 'routes')
  })
}

function addEntryTests(withWorld: WithWorld): void {
  withWorld('neighbours, FDB entries and addresses are put, replaced and removed', async ({ kernel }) => {
    await put(kernel, 'links', aTunnel())
    const link = 'margay.vxlan'
    const neighbours = ['10.65.1.0', '2001:db8:65::1'].map((ip) => ({ link, ip: ip as Ip, mac: '66:00:5e:00:53:07' as Mac }))
    const fdb = { link, mac: '66:00:5e:00:53:07' as Mac, dst: '192.0.2.7' as Ip }
    const addresses = ['10.65.0.0/32', '2001:db8:65::/128'].map((address) => ({ link, address: address as InterfaceAddress }))
    for (const mac of ['66:00:5e:00:53:07', '66:00:5e:00:53:08'] as Mac[]) {
      const wanted = neighbours.map((neighbour) => ({ ...neighbour, mac }))
      await put(kernel, 'neighbours', ...wanted)
      await expectOnly(kernel, 'neighbours', ...wanted)
    }
    for (const dst of ['192.0.2.7', '198.51.100.7'] as Ip[]) {
      await put(kernel, 'fdb', { ...fdb, dst })
      await expectOnly(kernel, 'fdb', { ...fdb, dst })
    }
    await put(kernel, 'addresses', ...addresses)
    await put(kernel, 'addresses', ...addresses)
    await expectOnly(kernel, 'addresses', ...addresses)
    for (let twice = 0; twice < 2; twice++) {
      await remove(kernel, 'neighbours', ...neighbours)
      await remove(kernel, 'fdb', fdb)
      await remove(kernel, 'addresses', ...addresses)
    }
    await expectOnly(kernel, 'neighbours')
    await expectOnly(kernel, 'fdb')
    await expectOnly(kernel, 'addresses')
  })

  withWorld('FDB entries over IPv6 have destinations of IPv6', async ({ kernel }) => {
    await put(kernel, 'links', aTunnel({ name: 'margay.vxlan6', local: '2001:db8::10' as Ip, mtuBytes: 1430 }))
    const entry = { link: 'margay.vxlan6', mac: '66:00:5e:00:53:07' as Mac, dst: '2001:db8::7' as Ip }
    await put(kernel, 'fdb', entry)
    await expectOnly(kernel, 'fdb', entry)
  })
}

function addRuleTests(withWorld: WithWorld): void {
  withWorld('rules of our priorities are put, replaced and removed, others refused', async ({ kernel }) => {
    const rules: Rule[] = [
      { family: 4, priority: 13_100, table: 4242, mark: { value: 0x100000, mask: 0x100000, negate: true } },
      { family: 6, priority: 13_100, table: 4242 },
    ]
    await put(kernel, 'rules', ...rules)
    await put(kernel, 'rules', ...rules)
    await expectOnly(kernel, 'rules', ...rules)
    const changed = rules.map((rule) => ({ ...rule, table: 4243 }))
    await put(kernel, 'rules', ...changed)
    await expectOnly(kernel, 'rules', ...changed)
    const failures = await kernel.tables.rules.commit(
      { put: byKey('rules', [{ family: 4, priority: 100, table: 4242 }]), remove: new Map() },
      never,
    )
    assert.is(failures.get('4 100')?.message, 'the rule priority 100 is not ours: 13100 to 13199')
    await remove(kernel, 'rules', ...changed)
    await remove(kernel, 'rules', ...changed)
    await expectOnly(kernel, 'rules')
  })

  withWorld('a missing link refuses its entries and no others', async ({ kernel }) => {
    const good = aRoute('10.65.3.0/26', { nextHop: '192.0.2.7' as Ip })
    const bad = aRoute('10.65.4.0/26', { link: 'margay.none', nextHop: '192.0.2.7' as Ip })
    const failures = await kernel.tables.routes.commit({ put: byKey('routes', [bad, good]), remove: new Map() }, never)
    assert.equal(
      [...failures].map(([key, { message, errno }]) => [key, message, errno]),
      [[keyOf.routes(bad), 'there is no interface "margay.none"', 19]],
    )
    await expectOnly(kernel, 'routes', good)
    const neighbour = { link: 'margay.none', ip: '10.65.1.0' as Ip, mac: '66:00:5e:00:53:07' as Mac }
    assert.is((await kernel.tables.neighbours.commit({ put: byKey('neighbours', [neighbour]), remove: new Map() }, never)).size, 1)
    await remove(kernel, 'neighbours', neighbour)
    await remove(kernel, 'routes', bad)
  })
}

function addScaleTests(withWorld: WithWorld): void {
  withWorld('5,000 peers are put in one commit a table', async ({ kernel }) => {
    await put(kernel, 'links', aTunnel())
    const peers = Array.from({ length: 5000 }, (_, i) => aPeer(i))
    const start = performance.now()
    await put(kernel, 'neighbours', ...peers.map(({ neighbour }) => neighbour))
    await put(kernel, 'fdb', ...peers.map(({ fdb }) => fdb))
    const routesMs = performance.now()
    await put(kernel, 'routes', ...peers.map(({ route }) => route))
    const end = performance.now()
    process.stdout.write(`5,000 peers: ${Math.round(end - start)} ms, of these the routes ${Math.round(end - routesMs)} ms\n`)
    assert.is((await list(kernel, 'routes')).length, 5000)
    assert.is((await list(kernel, 'neighbours')).length, 5000)
    assert.is((await list(kernel, 'fdb')).length, 5000)
    const one = aPeer(6000).route
    const times: number[] = []
    for (let i = 0; i < 50; i++) {
      const began = performance.now()
      await put(kernel, 'routes', { ...one, nextHop: formatIp(4, 0x0a800000n + BigInt(i)) })
      times.push(performance.now() - began)
    }
    process.stdout.write(`one changed route beside them: ${times.sort((a, b) => a - b)[25]?.toFixed(3)} ms (median)\n`)
  })
}

function addTunnelTests(withWorld: WithWorld): void {
  withWorld('a tunnel changes MTU and MAC in place and keeps what hangs on it unless the MAC changed', async ({ kernel }) => {
    const { route, neighbour, fdb } = aPeer(1)
    await put(kernel, 'links', aTunnel())
    await put(kernel, 'neighbours', neighbour)
    await put(kernel, 'fdb', fdb)
    await put(kernel, 'routes', route)
    await put(kernel, 'links', aTunnel({ mtuBytes: 1400 }))
    await expectOnly(kernel, 'links', aTunnel({ mtuBytes: 1400 }))
    await expectOnly(kernel, 'neighbours', neighbour)
    await expectOnly(kernel, 'routes', route)
    const mac = '66:00:5e:00:53:99' as Mac
    await put(kernel, 'links', aTunnel({ mac }))
    await expectOnly(kernel, 'links', aTunnel({ mac }))
    await expectOnly(kernel, 'fdb', fdb)
    await expectOnly(kernel, 'routes', route)
  })

  withWorld('a tunnel with another VNI is a new device and has lost what hung on the old', async ({ kernel }) => {
    const { route, neighbour, fdb } = aPeer(1)
    for (const vni of [4096, 4097]) {
      await put(kernel, 'links', aTunnel({ vni }))
      await expectOnly(kernel, 'links', aTunnel({ vni }))
      for (const table of ['neighbours', 'fdb', 'routes', 'addresses'] as const) await expectOnly(kernel, table)
      await put(kernel, 'neighbours', neighbour)
      await put(kernel, 'fdb', fdb)
      await put(kernel, 'routes', route)
    }
    await remove(kernel, 'links', aTunnel())
    await remove(kernel, 'links', aTunnel())
    for (const table of ['links', 'neighbours', 'fdb', 'routes'] as const) await expectOnly(kernel, table)
  })

  withWorld('a tunnel without its uplink is refused', async ({ kernel }) => {
    const failures = await kernel.tables.links.commit(
      { put: byKey('links', [aTunnel({ uplink: 'eth9' }), aTunnel({ name: 'margay.b', vni: 7, port: 4790 })]), remove: new Map() },
      never,
    )
    assert.equal(
      [...failures].map(([key, { message }]) => [key, message]),
      [['margay.vxlan', 'could not make margay.vxlan: its uplink "eth9" is not there']],
    )
    await expectOnly(kernel, 'links', aTunnel({ name: 'margay.b', vni: 7, port: 4790 }))
  })
}

function addPairTests(withWorld: WithWorld): void {
  withWorld("a workload's pair is made with all inside, and changed in place", async ({ kernel, addNetns }) => {
    const netns = addNetns()
    const pair = aPair(netns)
    const { peer } = pair
    const variants: VethLink[] = [
      pair,
      { ...pair, mtuBytes: 1400 },
      { ...pair, peer: { ...peer, addresses: ['10.65.0.3/32'] as InterfaceAddress[], gateways: ['169.254.1.1'] as Ip[] } },
      { ...pair, peer: { ...peer, name: 'net1', mac: '02:00:5e:00:53:03' as Mac } },
      pair,
    ]
    for (const variant of variants) {
      await put(kernel, 'links', variant)
      await expectOnly(kernel, 'links', variant)
      await put(kernel, 'links', variant)
      await expectOnly(kernel, 'links', variant)
    }
    await remove(kernel, 'links', pair)
    await expectOnly(kernel, 'links')
  })

  withWorld('a network namespace that is gone is refused with its path', async ({ kernel, addNetns, removeNetns }) => {
    const netns = addNetns()
    await put(kernel, 'links', aPair(netns))
    await remove(kernel, 'links', aPair(netns))
    removeNetns(netns)
    const failures = await kernel.tables.links.commit({ put: byKey('links', [aPair(netns)]), remove: new Map() }, never)
    assert.is(failures.get('mgy0123456789a')?.message, `there is no network namespace at ${JSON.stringify(netns)}`)
  })
}

function addEventTests(withWorld: WithWorld): void {
  withWorld('what others remove or change is told of by key, and what we do is not', async ({ kernel, others }) => {
    const { route, neighbour, fdb } = aPeer(1)
    const address = { link: 'margay.vxlan', address: '10.65.0.0/32' as InterfaceAddress }
    await put(kernel, 'links', aTunnel())
    await put(kernel, 'addresses', address, { ...address, address: '2001:db8:65::/128' as InterfaceAddress })
    await put(kernel, 'neighbours', neighbour)
    await put(kernel, 'fdb', fdb)
    await put(kernel, 'routes', route)
    await put(kernel, 'links', aTunnel({ mtuBytes: 1440 }))
    others.removeRoute(route)
    assert.equal(await eventsUntil(kernel, isChange('routes', keyOf.routes(route), true)), [
      { type: 'changed', table: 'routes', key: keyOf.routes(route), value: undefined },
    ])
    others.removeFdb(fdb.link, fdb.mac)
    assert.is((await eventsUntil(kernel, isChange('fdb', keyOf.fdb(fdb), true))).length, 1)
    others.flushAddresses('margay.vxlan')
    await eventsUntil(kernel, isChange('addresses', keyOf.addresses(address), true))
    others.setMtu('margay.vxlan', 1300)
    const events = await eventsUntil(kernel, isChange('links', 'margay.vxlan', false))
    assert.equal(events.at(-1), { type: 'changed', table: 'links', key: 'margay.vxlan', value: aTunnel({ mtuBytes: 1300 }) })
  })

  withWorld('a device that others remove is told of', async ({ kernel, others }) => {
    await put(kernel, 'links', aTunnel())
    others.removeLink('margay.vxlan')
    await eventsUntil(kernel, isChange('links', 'margay.vxlan', true))
    await expectOnly(kernel, 'links')
  })

  withWorld('making a link anew by ourselves tells nothing', async ({ kernel, others }) => {
    const { route, neighbour, fdb } = aPeer(1)
    for (const vni of [4096, 4097]) {
      await put(kernel, 'links', aTunnel({ vni }))
      await put(kernel, 'addresses', { link: 'margay.vxlan', address: '2001:db8:65::/128' as InterfaceAddress })
      await put(kernel, 'neighbours', neighbour)
      await put(kernel, 'fdb', fdb)
      await put(kernel, 'routes', route, { ...route, destination: parseCidr('2001:db8:65:1::/122'), nextHop: '2001:db8:65::1' as Ip })
    }
    others.removeRoute(route)
    assert.equal(await eventsUntil(kernel, isChange('routes', keyOf.routes(route), true)), [
      { type: 'changed', table: 'routes', key: keyOf.routes(route), value: undefined },
    ])
  })
}
