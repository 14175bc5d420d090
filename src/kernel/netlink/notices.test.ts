import { execFileSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { aPeer, aTunnel, eventsUntil, expectOnly, put, remove } from '../conformance-kit.ts'
import { keyOf, type Route } from '../objects.ts'
import { openRealWorld, type RealWorld } from '../real-world.ts'

const test = suite('kernel/netlink/notices')

async function inWorld(run: (world: RealWorld) => Promise<void>, receiveBufferBytes?: number): Promise<void> {
  const world = openRealWorld(receiveBufferBytes === undefined ? {} : { receiveBufferBytes })
  try {
    await run(world)
  } finally {
    world.close()
  }
}

const route: Route = {
  table: 254,
  destination: parseCidr('10.65.1.0/26'),
  metric: 0,
  type: 'unicast',
  link: 'eth0',
  nextHop: '192.0.2.7' as Ip,
}

test('a storm that overruns the socket makes every table stale, and events come again after it', () =>
  inWorld(async (world) => {
    await put(world.kernel, 'links', aTunnel())
    const batch = Array.from({ length: 3000 }, (_, i) => `route add 10.99.${i >> 8}.${i & 255}/32 via 192.0.2.7 dev eth0 proto 77\n`).join(
      '',
    )
    // This call keeps the process from reading.
    execFileSync('ip', ['-n', world.netns.replace('/run/netns/', ''), '-batch', '-'], { input: batch })
    const events = await eventsUntil(world.kernel, (event) => event.type === 'stale' && event.table === 'routes')
    const stale = new Set(events.flatMap((event) => (event.type === 'stale' ? [event.table] : [])))
    assert.equal([...stale].sort(), ['addresses', 'fdb', 'links', 'neighbours', 'routes', 'rules', 'sysctls'])
    assert.is((await world.kernel.tables.routes.list(new AbortController().signal)).size, 3000)
    world.others.setMtu('margay.vxlan', 1300)
    await eventsUntil(world.kernel, (event) => event.type === 'changed' && event.table === 'links')
  }, 4096))

test('a route of ours that somebody replaced by one of theirs is gone', () =>
  inWorld(async (world) => {
    await put(world.kernel, 'routes', route)
    world.ip('route replace 10.65.1.0/26 via 192.0.2.8')
    const isGone = (event: { type: string; key?: string; value?: unknown }) =>
      event.key === keyOf.routes(route) && event.value === undefined
    await eventsUntil(world.kernel, isGone)
    await put(world.kernel, 'routes', route)
    await expectOnly(world.kernel, 'routes', route)
  }))

test('what somebody added beside an object of ours, or put in its place, goes when ours is put again', () =>
  inWorld(async (world) => {
    const { fdb, neighbour } = aPeer(1)
    await put(world.kernel, 'links', aTunnel())
    await put(world.kernel, 'neighbours', neighbour)
    await put(world.kernel, 'fdb', fdb)
    await put(world.kernel, 'routes', route)
    world.ip('route append 10.65.1.0/26 via 192.0.2.8 proto 77')
    world.bridge(`fdb replace ${fdb.mac} dev margay.vxlan dst 203.0.113.66`)
    await eventsUntil(world.kernel, (event) => event.type === 'changed' && event.table === 'fdb')
    await put(world.kernel, 'routes', route)
    await put(world.kernel, 'fdb', fdb)
    await expectOnly(world.kernel, 'routes', route)
    await expectOnly(world.kernel, 'fdb', fdb)
    assert.not.match(world.ip('route show proto 77'), '192.0.2.8')
    assert.not.match(world.bridge('fdb show dev margay.vxlan'), '203.0.113.66')
  }))

test('the same after a restart: two objects under one key are seen as different and made one', () =>
  inWorld(async (world) => {
    const six: Route = { ...route, destination: parseCidr('2001:db8:65:1::/122'), nextHop: '2001:db8::7' as Ip }
    await put(world.kernel, 'routes', route, six)
    world.ip('route append 10.65.1.0/26 via 192.0.2.8 proto 77')
    world.ip('-6 route append 2001:db8:65:1::/122 via 2001:db8::8 proto 77')
    const kernel = world.restart()
    const listed = await kernel.tables.routes.list(new AbortController().signal)
    for (const wanted of [route, six]) assert.is(kernel.tables.routes.matches?.(wanted, listed.get(keyOf.routes(wanted)) as Route), false)
    await put(kernel, 'routes', route, six)
    await expectOnly(kernel, 'routes', route, six)
    assert.is(world.ip('-6 route show proto 77').trim().split('\n').length, 1)
  }))

test("other people's objects are never listed, and stand when ours go", () =>
  inWorld(async (world) => {
    for (const command of [
      'route add 10.99.0.0/24 via 192.0.2.1 proto static',
      '-6 route add 2001:db8:99::/64 via 2001:db8::1 proto static',
      'neigh add 192.0.2.99 lladdr 02:00:5e:00:53:99 dev eth0 nud permanent',
      'rule add priority 5000 lookup 99',
      'link add br7 type bridge',
      'addr add 198.51.100.1/24 dev br7',
    ]) {
      world.ip(command)
    }
    const look = () =>
      ['route show proto static', '-6 route show proto static', 'neigh show nud permanent dev eth0', 'rule', '-br addr'].map(world.ip)
    const before = look()
    for (const table of ['links', 'addresses', 'neighbours', 'fdb', 'rules', 'routes'] as const) await expectOnly(world.kernel, table)
    await put(world.kernel, 'routes', route)
    await put(world.kernel, 'rules', { family: 4, priority: 13_150, table: 99 })
    await remove(world.kernel, 'rules', { family: 4, priority: 13_150, table: 99 })
    await remove(world.kernel, 'routes', route)
    await remove(world.kernel, 'routes', { ...route, destination: parseCidr('10.99.0.0/24'), nextHop: '192.0.2.1' as Ip })
    assert.equal(look(), before)
  }))

test('interfaces that are not ours make events, a repeated notice none', () =>
  inWorld(async (world) => {
    const isInterfaces = (event: { type: string }) => event.type === 'interfaces'
    world.ip('link add br7 type bridge')
    await eventsUntil(world.kernel, isInterfaces)
    world.ip('addr add 198.51.100.1/24 dev br7')
    await eventsUntil(world.kernel, isInterfaces)
    world.ip('addr change 198.51.100.1/24 dev br7')
    // Takes in what is queued, before the mark behind it.
    await expectOnly(world.kernel, 'rules')
    world.kernel.emit({ type: 'stale', table: 'policy' })
    assert.equal(await eventsUntil(world.kernel, (event) => event.type === 'stale'), [{ type: 'stale', table: 'policy' }])
    world.ip('link del br7')
    await eventsUntil(world.kernel, isInterfaces)
  }))

test('the way to an address is told with its source', () =>
  inWorld(async (world) => {
    const signal = new AbortController().signal
    assert.equal(await world.kernel.routeTo('192.0.2.1', signal), { source: '192.0.2.10', link: 'eth0' })
    assert.equal(await world.kernel.routeTo('2001:db8::1', signal), { source: '2001:db8::10', link: 'eth0' })
    assert.is(await world.kernel.routeTo('203.0.113.1', signal), undefined)
    const eth0 = (await world.kernel.interfaces(signal)).find(({ name }) => name === 'eth0')
    assert.equal(
      eth0?.addresses.filter(({ scope }) => scope === 'global').map(({ address }) => address),
      ['192.0.2.10/24', '2001:db8::10/64'],
    )
  }))

test.run()
