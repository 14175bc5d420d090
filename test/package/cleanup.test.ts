import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, type Place, run, tryRun } from '../../scripts/lab/command.ts'
import { aPair, aPeer, aTunnel, list, put } from '../../src/kernel/conformance-kit.ts'
import { isNetns, pinNetns, removePinFolder } from '../../src/kernel/netns.ts'
import { APPLY_ORDER, MAIN_TABLE, type Route } from '../../src/kernel/objects.ts'
import { openRealWorld, type RealWorld } from '../../src/kernel/real-world.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'

const test = suite('package/cleanup')

const folder = join(tmpdir(), `mgt-${process.pid}-cleanup`)
const [runFolder, stateFolder] = [join(folder, 'run'), join(folder, 'state')]
const program = join(folder, 'cleanup.sh')

test.before.each(() => {
  mkdirSync(join(stateFolder, 'netns'), { recursive: true })
  const text = readFileSync('packaging/cleanup.sh', 'utf8')
  writeFileSync(program, text.replace(/^run=.*$/m, `run='${runFolder}'`).replace(/^state=.*$/m, `state='${stateFolder}'`))
})

test.after.each(() => {
  removePinFolder(join(runFolder, 'netns'))
  rmSync(folder, { recursive: true, force: true })
})

/** What a host has in its kernel, in the words of ip and nft. */
async function kernelOf(place: Place): Promise<Readonly<Record<string, string>>> {
  const words = {
    links: 'ip -o -d link show',
    addresses: 'ip -o address show',
    routes4: 'ip -4 route show table all',
    routes6: 'ip -6 route show table all',
    rules4: 'ip -4 rule show',
    rules6: 'ip -6 rule show',
    neighbours: 'ip neighbour show nud permanent',
    rules: 'nft list ruleset',
  }
  const texts = await Promise.all(
    Object.entries(words).map(async ([name, command]) => [name, await run(place, command.split(' '))] as const),
  )
  return Object.fromEntries(texts)
}

function aRoute(destination: string, more: Partial<Route> = {}): Route {
  return { table: MAIN_TABLE, destination: parseCidr(destination), metric: 0, type: 'unicast', ...more }
}

/** All kinds of objects that margay makes, in both families. */
async function putAll(world: RealWorld, pin: string): Promise<void> {
  const { kernel } = world
  const tunnels = [aTunnel(), aTunnel({ name: 'margay.vxlan6', local: '2001:db8::10' as Ip, mtuBytes: 1430 })]
  await put(kernel, 'links', ...tunnels, aPair(pin), aPair(pin, { name: 'web0', peer: { ...aPair(pin).peer, name: 'eth1' } }))
  const peers = Array.from({ length: 20 }, (_, number) => aPeer(number))
  await put(kernel, 'neighbours', ...peers.map(({ neighbour }) => neighbour))
  await put(kernel, 'fdb', ...peers.map(({ fdb }) => fdb))
  await put(
    kernel,
    'rules',
    { family: 4, priority: 13_100, table: 4242, mark: { value: 0x100000, mask: 0x100000, negate: true } },
    { family: 6, priority: 13_199, table: 4242 },
  )
  const types = ['blackhole', 'throw', 'unreachable', 'prohibit'] as const
  await put(
    kernel,
    'routes',
    ...peers.map(({ route }) => route),
    ...types.flatMap((type, index) => [
      aRoute(`10.66.${index}.0/24`, { type }),
      aRoute(`10.67.${index}.0/24`, { type, table: 4242, metric: 5 }),
      aRoute(`2001:db8:66:${index}::/64`, { type }),
      aRoute(`2001:db8:67:${index}::/64`, { type, table: 4242 }),
    ]),
    aRoute('2001:db8:68::/64', { link: 'eth0', nextHop: '2001:db8::7' as Ip, table: 4242 }),
    aRoute('10.68.0.0/24', { link: 'web0' }),
  )
  await run(inside(world), ['nft', 'add table inet margay; add chain inet margay forward { type filter hook forward priority 0; }'])
}

/** What somebody else has, as like ours as can be. */
async function putForeign(world: RealWorld): Promise<void> {
  for (const command of [
    'link add mgmt0 type veth peer name margay-x',
    'link set mgmt0 alias margay',
    'route add 10.99.0.0/24 via 192.0.2.7 proto static',
    'route add blackhole 10.99.1.0/24 proto 80 table 77',
    'route add 2001:db8:99::/64 via 2001:db8::7 proto 76',
    'rule add priority 13099 lookup 77',
    'rule add priority 13200 lookup 77',
  ])
    world.ip(command)
  await run(inside(world), ['nft', 'add table ip margay; add table inet other; add chain inet other forward'])
}

function inside({ netns }: RealWorld): Place {
  return { enter: ['nsenter', `--net=${netns}`] }
}

test('takes all of margay out of the kernel, and nothing of anybody else', async () => {
  const world = openRealWorld()
  try {
    await putForeign(world)
    const before = await kernelOf(inside(world))
    const pin = join(runFolder, 'netns/default_web')
    pinNetns(world.addNetns(), pin)
    await putAll(world, pin)
    assert.not.equal(await kernelOf(inside(world)), before)

    writeFileSync(join(stateFolder, 'boot.nft'), '')
    const { code, stdout, stderr } = await tryRun(inside(world), ['sh', program])
    assert.is(`${code}${stdout}${stderr}`, '0')
    assert.not.ok(existsSync(join(stateFolder, 'boot.nft')), 'the next boot puts nothing there again')
    assert.equal(await kernelOf(inside(world)), before)
    assert.not.ok(isNetns(pin))
    const kernel = world.restart()
    for (const table of APPLY_ORDER.filter((name) => name !== 'sysctls')) assert.equal(await list(kernel, table), [], table)

    const again = await tryRun(inside(world), ['sh', program])
    assert.is(`${again.code}${again.stdout}${again.stderr}`, '0', 'a second time there is nothing to do')
  } finally {
    world.close()
  }
})

test('with --purge it takes our files away too, and leaves what others have put beside them', async () => {
  const world = openRealWorld()
  try {
    for (const path of ['instance', 'boot.nft', 'boot.nft.new', 'view.jsonl', 'view.jsonl.new', 'netns/default_web.json'])
      writeFileSync(join(stateFolder, path), '')
    mkdirSync(runFolder)
    for (const path of ['etcd.env', 'margay.sock', 'forwarding.json', 'flows.json', 'trials.json', 'workload-addresses.json'])
      writeFileSync(join(runFolder, path), '')
    writeFileSync(join(stateFolder, 'notes.txt'), '')
    assert.is((await tryRun(inside(world), ['sh', program, '--purge'])).code, 0)
    assert.equal((await run(MACHINE, ['find', folder, '-mindepth', '1'])).trim().split('\n').sort(), [
      program,
      stateFolder,
      join(stateFolder, 'notes.txt'),
    ])
  } finally {
    world.close()
  }
})

test('where nft is gone it says what is left, and ends with 1 after the rest', async () => {
  const world = openRealWorld()
  try {
    await put(world.kernel, 'links', aTunnel())
    await put(world.kernel, 'routes', aPeer(1).route)
    // A folder of programs without nft, by the path that the program gives itself.
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    for (const name of ['ip', 'rm', 'rmdir', 'umount']) await run(MACHINE, ['sh', '-c', `ln -s "$(command -v ${name})" ${bin}/`])
    const text = readFileSync(program, 'utf8')
    writeFileSync(program, text.replace(/^PATH=.*$/m, `PATH=${bin}`))
    const { code, stderr } = await tryRun(inside(world), ['sh', program])
    assert.is(code, 1)
    assert.match(stderr, 'nft is not here (apt-get install nftables)')
    assert.equal(await list(world.restart(), 'links'), [])
  } finally {
    world.close()
  }
})

test.run()
