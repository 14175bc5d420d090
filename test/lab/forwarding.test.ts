import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startAdvertising } from '../../scripts/lab/advertise.ts'
import { MACHINE, type Place, run, until } from '../../scripts/lab/command.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { isReachable } from '../../scripts/lab/probe.ts'
import { setSysctls } from '../../scripts/lab/topology.ts'
import { addressOf } from '../support/fault.ts'
import { withIdleLab } from '../support/scenario.ts'

const test = suite('lab/forwarding')

function readSysctl(place: Place, name: string): Promise<string> {
  return run(place, ['sysctl', '-n', name]).then((text) => text.trim())
}

/** Seconds until the default route that came by a router advertisement ends; undefined where there is none. */
async function defaultExpires(name: string): Promise<number | undefined> {
  const routes = JSON.parse(await run(MACHINE, ['ip', '-n', name, '-6', '-j', 'route', 'show', 'default'])) as readonly {
    protocol?: string
    expires?: number
  }[]
  return routes.find(({ protocol }) => protocol === 'ra')?.expires
}

test('router advertisements are still heard when forwarding is on', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const { host } = lab.daemon('h1')
    await run(MACHINE, ['ip', '-n', host.name, '-6', 'route', 'del', 'default'])
    const router = await startAdvertising(lab.topology, lab.folder)
    try {
      await until({ what: 'a default route by advertisement' }, () => defaultExpires(host.name))
      await lab.daemon('h1').start()
      assert.equal(
        [await readSysctl(host, 'net.ipv6.conf.all.forwarding'), await readSysctl(host, 'net.ipv6.conf.eth0.accept_ra')],
        ['1', '2'],
      )
      let left = Number.POSITIVE_INFINITY
      await until({ what: 'the next advertisement to be heard' }, async () => {
        const before = left
        left = (await defaultExpires(host.name)) ?? 0
        return left > before ? true : undefined
      })
    } finally {
      await router.stop()
    }
  })
})

/** A network of somebody else's behind host h1, which the router sends there. */
async function addForeignNetwork(lab: Lab): Promise<void> {
  const { host } = lab.daemon('h1')
  const foreign = await lab.topology.addNamespace('other')
  const at = (name: string, ...args: readonly string[]) => run(MACHINE, ['ip', '-n', name, ...args])
  await at(host.name, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', foreign.name)
  await at(host.name, 'addr', 'add', '203.0.113.1/24', 'dev', 'lan0')
  await at(host.name, 'link', 'set', 'lan0', 'up')
  await at(foreign.name, 'addr', 'add', '203.0.113.2/24', 'dev', 'eth0')
  await at(foreign.name, 'link', 'set', 'eth0', 'up')
  await at(foreign.name, 'route', 'add', 'default', 'via', '203.0.113.1')
  await at(lab.topology.router.name, 'route', 'add', '203.0.113.0/24', 'via', host.ipv4)
}

for (const { before, title } of [
  { before: '0', title: 'a host that did not forward before forwards only what is ours' },
  { before: '1', title: 'a host that forwarded before goes on to forward everything' },
]) {
  test(title, async () => {
    const config = { address: { ipv4: { method: 'interface=^eth0$' } } }
    await withIdleLab({ hosts: [0], etcd: 'plain', mode: 'direct', config }, async (lab) => {
      const daemon = lab.daemon('h1')
      await addForeignNetwork(lab)
      await setSysctls(daemon.host, [`net.ipv4.ip_forward=${before}`])
      await daemon.start()
      const workload = await lab.addWorkload('h1', 'w1')
      assert.is(await readSysctl(daemon.host, 'net.ipv4.ip_forward'), '1')
      await run(MACHINE, ['ip', '-n', lab.topology.router.name, 'route', 'add', '10.65.0.0/16', 'via', daemon.host.ipv4])
      assert.is(await isReachable(lab.topology.router, addressOf(workload)), true, 'a workload is reached')
      assert.is(await isReachable(lab.topology.router, '203.0.113.2'), before === '1')
      await daemon.stop()
      await daemon.start()
      assert.is(await isReachable(lab.topology.router, '203.0.113.2'), before === '1', 'it is remembered over a restart')
    })
  })
}

test('without networking nothing is forwarded', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain', config: { networking: { enabled: false }, pools: {} } }, async (lab) => {
    await lab.daemon('h1').start()
    assert.is(await readSysctl(lab.daemon('h1').host, 'net.ipv4.ip_forward'), '0')
  })
})

test.run()
