// runs alone
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import type { LabHost } from '../../scripts/lab/topology.ts'
import { type LabWorkload, readAddresses } from '../../scripts/lab/workload.ts'
import type { WorkloadReport } from '../../src/model/own/api.ts'
import { untilReached } from '../support/fault.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/repair')
const REPAIR_MS = 1000

function ip(host: LabHost, ...args: readonly string[]): Promise<string> {
  return run(MACHINE, ['ip', '-n', host.name, ...args])
}

async function withPair(action: (lab: Lab, host: LabHost, pair: readonly [LabWorkload, LabWorkload]) => Promise<void>): Promise<void> {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const pair = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')] as const
    await untilReached(pair[0], pair[1])
    await action(lab, lab.daemon('h1').host, pair)
  })
}

const damages: readonly { readonly what: string; readonly show: readonly string[]; readonly damage: readonly string[] }[] = [
  { what: 'routes', show: ['route', 'show', 'proto', '77'], damage: ['route', 'flush', 'proto', '77'] },
  { what: 'IPv6 routes', show: ['-6', 'route', 'show', 'proto', '77'], damage: ['-6', 'route', 'flush', 'proto', '77'] },
  { what: 'the tunnel device', show: ['-br', 'addr', 'show', 'dev', 'margay.vxlan'], damage: ['link', 'del', 'margay.vxlan'] },
  { what: 'the tunnel address', show: ['-br', 'addr', 'show', 'dev', 'margay.vxlan'], damage: ['addr', 'flush', 'dev', 'margay.vxlan'] },
  {
    what: 'neighbours',
    show: ['neigh', 'show', 'dev', 'margay.vxlan', 'nud', 'permanent'],
    damage: ['neigh', 'flush', 'dev', 'margay.vxlan', 'nud', 'permanent'],
  },
  {
    what: 'the state of the tunnel device',
    show: ['-br', 'link', 'show', 'dev', 'margay.vxlan'],
    damage: ['link', 'set', 'margay.vxlan', 'down'],
  },
]
for (const { what, show, damage } of damages) {
  test(`${what}: taken away by somebody, put back within a second and counted`, async () => {
    await withPair(async (lab, host, [first, second]) => {
      // The MAC is chosen by rule, the index of a new device is not; `-br` shows neither.
      const before = sorted(await ip(host, ...show))
      assert.ok(before !== '', 'there is something to take away')
      const { repairs } = await lab.daemon('h1').status()
      await ip(host, ...damage)
      await until({ what: `${what} to be put back`, deadlineMs: REPAIR_MS, everyMs: 10 }, async () =>
        sorted(await ip(host, ...show).catch(() => '')) === before ? true : undefined,
      )
      await untilStatus(lab.daemon('h1'), 'the repair to be counted', (status) => status.repairs > repairs)
      await untilReached(first, second)
    })
  })
}

test('FDB entries: taken away by somebody, put back within a second', async () => {
  await withPair(async (_lab, host, [first, second]) => {
    const show = async () => sorted(await run(host, ['bridge', 'fdb', 'show', 'dev', 'margay.vxlan']))
    const before = await show()
    const [mac = ''] = before.split(' ')
    await run(host, ['bridge', 'fdb', 'del', mac, 'dev', 'margay.vxlan', 'self'])
    await until({ what: 'the FDB entry', deadlineMs: REPAIR_MS, everyMs: 10 }, async () => ((await show()) === before ? true : undefined))
    await untilReached(first, second)
  })
})

test("a workload's interface: taken away by somebody, made again within a second, with its addresses", async () => {
  await withPair(async (lab, host, [first, second]) => {
    const [{ interface: link }] = (await lab.daemon('h1').get<readonly WorkloadReport[]>('/v1/workloads')) as readonly [WorkloadReport]
    await ip(host, 'link', 'del', link)
    await until({ what: 'the interface to be made again', deadlineMs: REPAIR_MS, everyMs: 10 }, async () =>
      (await readAddresses(first.namespace)).length === first.addresses.length ? true : undefined,
    )
    await untilReached(first, second)
  })
})

test('the uplink gets another MTU: tunnel and running workloads follow', async () => {
  await withPair(async (lab, host, [first, second]) => {
    await ip(host, 'link', 'set', 'eth0', 'mtu', '1400')
    const mtuOf = async (place: string, dev: string) =>
      (JSON.parse(await run(MACHINE, ['ip', '-n', place, '-j', 'link', 'show', 'dev', dev])) as [{ mtu: number }])[0].mtu
    // A workload of both families has room for the larger of the two overheads: 70 over IPv6, 50 over IPv4.
    const look = async () => [
      await mtuOf(first.namespace.name, 'eth0'),
      await mtuOf(host.name, 'margay.vxlan'),
      await mtuOf(host.name, 'margay.vxlan6'),
    ]
    await until({ what: 'the MTU to follow' }, async () => ((await look()).join() === '1330,1350,1330' ? true : undefined))
    assert.is((await lab.daemon('h1').status()).mtuBytes, 1330)
    await untilReached(first, second)
  })
})

test('the uplink is renamed: the network goes on', async () => {
  await withPair(async (_lab, host, [first, second]) => {
    await ip(host, 'link', 'set', 'eth0', 'down')
    await ip(host, 'link', 'set', 'eth0', 'name', 'lan0')
    await ip(host, 'link', 'set', 'lan0', 'up')
    await ip(host, 'route', 'replace', 'default', 'via', '192.0.2.254')
    await untilReached(first, second)
  })
})

test('the network namespace of a workload goes away: the others go on, and it can be removed', async () => {
  await withPair(async (lab, _host, [first, second]) => {
    const gone = await lab.addWorkload('h1', 'gone')
    await run(MACHINE, ['ip', 'netns', 'del', gone.namespace.name])
    await untilReached(first, second)
    succeeded(await lab.daemon('h1').margay(['workload', 'rm', 'gone']))
  })
})

test.run()

function sorted(text: string): string {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .sort()
    .join('\n')
}
