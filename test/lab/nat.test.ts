import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import { POOLS } from '../../scripts/lab/lab.ts'
import { isReachable } from '../../scripts/lab/probe.ts'
import { startCapture } from '../../scripts/lab/wire.ts'
import { untilReached } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/nat')

test('what leaves the pools has the address of the host, what stays in them keeps its own, in both families', async () => {
  const config = { pools: { ipv4: { cidr: POOLS[4], natOutgoing: true }, ipv6: { cidr: POOLS[6], natOutgoing: true } } }
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'direct', config }, async (lab) => {
    const [first, second] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')]
    for (const family of [4, 6] as const) {
      await untilReached(first, second, family)
      const outside = family === 4 ? '192.0.2.254' : '2001:db8:0::fe'
      const capture = await startCapture(lab.topology, lab.folder)
      // The router has no route back to a pool: only a masqueraded packet is answered.
      assert.is(await isReachable(first.namespace, outside), true)
      assert.is((await capture.end([POOLS[family]])).count.plain, 0)
    }
  })
})

test('a pool without NAT sends its own addresses out', async () => {
  const config = { pools: { ipv4: { cidr: POOLS[4], natOutgoing: false } } }
  await withLab({ hosts: [0], etcd: 'plain', mode: 'direct', config }, async (lab) => {
    const workload = await lab.addWorkload('h1', 'w1')
    assert.is(await isReachable(workload.namespace, '192.0.2.254'), false)
    await run(MACHINE, ['ip', '-n', lab.topology.router.name, 'route', 'add', POOLS[4], 'via', lab.daemon('h1').host.ipv4])
    assert.is(await isReachable(workload.namespace, '192.0.2.254'), true)
  })
})

test.run()
