// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import { type Lab, POOLS } from '../../scripts/lab/lab.ts'
import { checkMatrix } from '../../scripts/lab/matrix.ts'
import { isMatrixRight, isWireRight } from '../../scripts/lab/mode.ts'
import { startProbe } from '../../scripts/lab/probe.ts'
import { startCapture } from '../../scripts/lab/wire.ts'
import type { LabWorkload } from '../../scripts/lab/workload.ts'
import { addressOf, untilReached } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/modes')

async function addWorkloads(lab: Lab): Promise<readonly LabWorkload[]> {
  const workloads: LabWorkload[] = []
  for (const { host } of lab.daemons) workloads.push(await lab.addWorkload(host.host, host.host.replace('h', 'w')))
  return workloads
}

for (const mode of ['vxlan', 'vxlan-cross-subnet', 'direct']) {
  for (const hosts of [
    [0, 0],
    [0, 0, 1],
  ] as const) {
    test(`${mode} on ${hosts.length === 3 ? 'two subnets' : 'one subnet'} reaches whom it should in both families, and the wire shows it`, async () => {
      await withLab({ hosts, etcd: 'plain', mode }, async (lab) => {
        const workloads = await addWorkloads(lab)
        const [first, second] = workloads
        if (first === undefined || second === undefined) throw new Error('two workloads')
        for (const family of [4, 6] as const) {
          await untilReached(first, second, family)
          const capture = await startCapture(lab.topology, lab.folder)
          const pairs = await checkMatrix(workloads, family)
          const { count } = await capture.end([POOLS[family]])
          assert.ok(
            isMatrixRight(mode, pairs),
            `IPv${family}: ${pairs.map(({ from, to, isReached }) => `${from.name}-${to.name} ${isReached}`).join(', ')}`,
          )
          assert.ok(isWireRight(mode, pairs, count), `IPv${family}: ${JSON.stringify(count)}`)
        }
      })
    })
  }
}

test('status names the peers that direct mode cannot reach, with the reason', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'direct' }, async (lab) => {
    await addWorkloads(lab)
    const { peers } = await lab.daemon('h1').status()
    const [peer] = peers.filter(({ family }) => family === 4)
    assert.equal([peer?.node, peer?.isReachable], ['h2', false])
    assert.match(peer?.reason ?? '', /subnet/)
  })
})

test('packets of the full MTU pass with DF in both families, and one byte more is refused', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [first, second] = await addWorkloads(lab)
    if (first === undefined || second === undefined) throw new Error('two workloads')
    for (const family of [4, 6] as const) {
      await untilReached(first, second, family)
      const [link] = JSON.parse(await run(MACHINE, ['ip', '-n', first.namespace.name, '-j', 'link', 'show', 'dev', 'eth0'])) as [
        { mtu: number },
      ]
      const send = async (packetBytes: number) =>
        (await startProbe(first.namespace, { to: addressOf(second, family), count: 3, packetBytes }).ended).lost
      assert.equal([await send(link.mtu), await send(link.mtu + 1)], [0, 3], `IPv${family}, MTU ${link.mtu}`)
    }
  })
})

test.run()
