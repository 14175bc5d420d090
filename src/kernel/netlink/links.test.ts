import { execFileSync, spawn } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { InterfaceAddress } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import { aPair, aTunnel, expectOnly, list, put, remove } from '../conformance-kit.ts'
import { loadNative } from '../native.ts'
import { withNetns } from '../netns.ts'
import type { Link } from '../objects.ts'
import { openRealWorld, type RealWorld } from '../real-world.ts'

const test = suite('kernel/netlink/links')
const signal = new AbortController().signal

async function inWorld(run: (world: RealWorld) => Promise<void>): Promise<void> {
  const world = openRealWorld()
  try {
    await run(world)
  } finally {
    world.close()
  }
}

async function refusalOf(world: RealWorld, link: Link): Promise<string> {
  const failures = await world.kernel.tables.links.commit({ put: new Map([[link.name, link]]), remove: new Map() }, signal)
  return failures.get(link.name)?.message ?? 'none'
}

/** What `ip -d link` says, without name, index, MAC and local address. */
function describeDevice(world: RealWorld, name: string): string {
  const text = world.ip(`-d link show dev ${name}`)
  return text
    .replace(/^\d+: /, '')
    .replaceAll(name, 'NAME')
    .replace(/link\/ether \S+/, 'link/ether MAC')
    .replace(/local \S+/, 'local IP')
}

test('our VXLAN device is the same as one made by hand', () =>
  inWorld(async (world) => {
    world.ip('link add hand0 type vxlan id 4096 dstport 4789 local 192.0.2.10 dev eth0 nolearning')
    world.ip('link set hand0 up')
    const byHand = describeDevice(world, 'hand0')
    world.ip('link del hand0')
    await put(world.kernel, 'links', aTunnel())
    assert.is(describeDevice(world, 'margay.vxlan'), byHand)
  }))

test('tunnels over IPv4 and IPv6 with one VNI and port stand side by side', () =>
  inWorld(async (world) => {
    const links = [
      aTunnel(),
      aTunnel({ name: 'margay.vxlan6', mtuBytes: 1430, local: '2001:db8::10' as Ip, mac: '66:00:5e:00:53:02' as Mac }),
    ]
    await put(world.kernel, 'links', ...links)
    await expectOnly(world.kernel, 'links', ...links)
  }))

test("somebody else's VXLAN device on the port is named", () =>
  inWorld(async (world) => {
    world.ip('link add flood type vxlan id 4096 dstport 4789 local 192.0.2.10 dev eth0')
    assert.is(
      await refusalOf(world, aTunnel()),
      'could not make margay.vxlan: the VXLAN device "flood" (VNI 4096), which is not ours, has VNI 4096 on UDP port 4789: remove it, or set another vxlanPort in the FelixConfiguration of all hosts',
    )
    world.ip('link del flood')
    assert.is(await refusalOf(world, aTunnel()), 'none')
  }))

test('a VXLAN device that was moved to another network namespace is suspected', () =>
  inWorld(async (world) => {
    const other = world.addNetns().replace('/run/netns/', '')
    world.ip('link add swarm0 type vxlan id 4097 dstport 4789 local 192.0.2.10 dev eth0')
    world.ip(`link set swarm0 netns ${other}`)
    execFileSync('ip', ['-n', other, 'link', 'set', 'swarm0', 'up'])
    const refusal = await refusalOf(world, aTunnel())
    assert.match(refusal, 'UDP port 4789 is taken by a VXLAN device in another network namespace (as Docker Swarm makes)')
  }))

test('a process that has the UDP port is named', () =>
  inWorld(async (world) => {
    const native = loadNative()
    const fd = withNetns(world.netns, () => native.socket(2, 2, 0))
    const address = Buffer.alloc(16)
    address.writeUInt16LE(2, 0)
    address.writeUInt16BE(4789, 2)
    try {
      assert.is(native.bind(fd, address), 0)
      assert.match(await refusalOf(world, aTunnel()), `UDP port 4789 is taken by the process ${process.pid} (`)
    } finally {
      native.close(fd)
    }
  }))

test('a device of another kind with a name of ours makes room, one of somebody else does not', () =>
  inWorld(async (world) => {
    world.ip('link add margay.vxlan type bridge')
    await put(world.kernel, 'links', aTunnel())
    world.ip('link add br7 type bridge')
    assert.is(await refusalOf(world, aTunnel({ name: 'br7' })), 'there is an interface "br7" (bridge) already, and it is not ours')
  }))

test('what others turned is put right: learning, down, uplink', () =>
  inWorld(async (world) => {
    world.ip('link add margay.vxlan type vxlan id 4096 dstport 4789 local 192.0.2.10 dev eth0')
    assert.equal(
      (await list(world.kernel, 'links')).map((link) => link.faults),
      [['is down', 'learns addresses']],
    )
    await put(world.kernel, 'links', aTunnel())
    await expectOnly(world.kernel, 'links', aTunnel())
    world.ip('link set margay.vxlan down')
    assert.equal(
      (await list(world.kernel, 'links')).map((link) => link.faults),
      [['is down']],
    )
    await put(world.kernel, 'links', aTunnel())
    await expectOnly(world.kernel, 'links', aTunnel())
  }))

test("an interface of the workload's own in the way is named", () =>
  inWorld(async (world) => {
    const netns = world.addNetns()
    execFileSync('ip', ['-n', netns.replace('/run/netns/', ''), 'link', 'add', 'eth0', 'type', 'bridge'])
    assert.is(await refusalOf(world, aPair(netns)), `there is an interface "eth0" in ${netns} already`)
    assert.not.match(world.ip('link'), 'mgy')
  }))

test('a pair is found again after a restart, and what the workload changed is put right', () =>
  inWorld(async (world) => {
    const netns = world.addNetns()
    const inner = netns.replace('/run/netns/', '')
    const pair = aPair(netns, { name: 'tenant0' })
    await put(world.kernel, 'links', pair)
    const index = world.ip('-o link show tenant0').split(':')[0]
    const kernel = world.restart()
    await expectOnly(kernel, 'links', pair)
    for (const command of ['addr del 10.65.0.2/32 dev eth0', 'link set eth0 mtu 1300', '-6 route del default', 'link set lo down']) {
      execFileSync('ip', ['-n', inner, ...command.split(' ')])
    }
    const [broken] = await list(kernel, 'links')
    assert.is(kernel.tables.links.matches?.(pair, broken as Link), false)
    await put(kernel, 'links', pair)
    await expectOnly(kernel, 'links', pair)
    assert.is(world.ip('-o link show tenant0').split(':')[0], index)
    await remove(kernel, 'links', pair)
    assert.not.match(world.ip('link'), 'tenant0')
  }))

test("the host's own network namespace is refused for a workload", () =>
  inWorld(async (world) => {
    const pair = aPair(world.netns, { peer: { ...aPair(world.netns).peer, name: 'eth7' } })
    assert.is(await refusalOf(world, pair), `"${world.netns}" is the host's own network namespace, not a workload's`)
  }))

test("a pair whose network namespace can't be reached any more stays, and is refused with the reason", () =>
  inWorld(async (world) => {
    const netns = world.addNetns()
    const pair = aPair(netns)
    await put(world.kernel, 'links', pair)
    const holder = spawn('ip', ['netns', 'exec', netns.replace('/run/netns/', ''), 'sh', '-c', 'echo ready; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    const ended = new Promise((resolve) => holder.once('exit', resolve))
    try {
      world.removeNetns(netns)
      const [unseen] = await list(world.kernel, 'links')
      assert.equal(unseen?.faults, [`peer: there is no network namespace at ${JSON.stringify(netns)}`])
      assert.is(await refusalOf(world, pair), `there is no network namespace at ${JSON.stringify(netns)}`)
      assert.match(world.ip('link'), pair.name)
      await remove(world.kernel, 'links', pair)
    } finally {
      holder.kill('SIGKILL')
      await ended
    }
  }))

test('two workloads reach each other over IPv4 and IPv6', () =>
  inWorld(async (world) => {
    const pairs = [2, 3].map((number) => {
      const netns = world.addNetns()
      const { peer } = aPair(netns)
      const addresses = [`10.65.0.${number}/32`, `2001:db8:65::${number}/128`] as InterfaceAddress[]
      return aPair(netns, { name: `mgy${number}`, peer: { ...peer, addresses, mac: `02:00:5e:00:53:0${number}` as Mac } })
    })
    await put(world.kernel, 'links', ...pairs)
    const sysctls = pairs.flatMap(({ name }) => [
      { key: `net/ipv4/conf/${name}/proxy_arp`, value: '1' },
      { key: `net/ipv4/neigh/${name}/proxy_delay`, value: '0' },
    ])
    const forwarding = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'].map((key) => ({ key, value: '1' }))
    await put(world.kernel, 'sysctls', ...sysctls, ...forwarding)
    await put(world.kernel, 'addresses', ...pairs.map(({ name }) => ({ link: name, address: 'fe80::1/64' as InterfaceAddress })))
    world.ip('route add default via 192.0.2.1 dev eth0')
    const routes = pairs.flatMap(({ name, peer }) =>
      peer.addresses.map((destination) => ({ link: name, destination: destination as never })),
    )
    await put(world.kernel, 'routes', ...routes.map((route) => ({ ...route, table: 254, metric: 0, type: 'unicast' as const })))
    const from = pairs[0]?.peer.netns.replace('/run/netns/', '') ?? ''
    for (const to of ['10.65.0.3', '2001:db8:65::3']) {
      const text = execFileSync('ip', ['netns', 'exec', from, 'ping', '-c', '3', '-i', '0.05', '-W', '2', to], { encoding: 'utf8' })
      assert.match(text, ' 0% packet loss')
    }
  }))

test.run()
