// runs alone
// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import { POOLS } from '../../scripts/lab/lab.ts'
import { checkMatrix } from '../../scripts/lab/matrix.ts'
import { isMatrixRight, isWireRight, switchMode } from '../../scripts/lab/mode.ts'
import { startCapture } from '../../scripts/lab/wire.ts'
import { addressOf, IS_LONG, STALL_MS, showSuffering, sufferingOf, untilReached } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/switch')
const COUNT = IS_LONG ? 20_000 : 6000

test('the mode of the pools is switched live and back', async () => {
  await withLab({ hosts: [0, 0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const workloads = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2'), await lab.addWorkload('h3', 'w3')]
    const [first, second] = workloads
    if (first === undefined || second === undefined) throw new Error('three workloads')
    await untilReached(first, second)
    for (const mode of ['vxlan-cross-subnet', 'vxlan']) {
      const { mtuBytes } = await lab.daemon('h1').status()
      const suffering = await sufferingOf({ from: first, to: second, address: addressOf(second), mtuBytes, count: COUNT }, async () => {
        await switchMode(lab, mode)
        const want = mode === 'vxlan' ? 'vxlan' : 'direct'
        const isDone =
          (node: string) =>
          ({ peers }: { peers: readonly { node: string; mode: string }[] }) =>
            peers.filter((peer) => peer.node === node).every((peer) => peer.mode === want)
        await untilStatus(lab.daemon('h1'), `${want} to h2`, isDone('h2'))
        await untilStatus(lab.daemon('h2'), `${want} to h1`, isDone('h1'))
      })
      process.stdout.write(showSuffering(`switched to ${mode}`, suffering))
      assert.equal([suffering.probe.lost, suffering.full.lost], [0, 0])
      assert.ok(suffering.longestStallMs < STALL_MS, `the stream stalled for ${suffering.longestStallMs} ms`)
      const capture = await startCapture(lab.topology, lab.folder)
      const pairs = await checkMatrix(workloads, 4)
      const { count } = await capture.end(Object.values(POOLS))
      assert.ok(isMatrixRight(mode, pairs), `not all pairs answer in mode ${mode}`)
      assert.ok(isWireRight(mode, pairs, count), `the wire in mode ${mode}: ${JSON.stringify(count)}`)
    }
  })
})

test.run()
