// runs alone
// at most 240 s
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { addressOf, IS_LONG, STALL_MS, showSuffering, sufferingOf, type Traffic, untilReached } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/faults')

/** The probes must outlast the fault: 20,000 are the measure that is published, a few thousand show that it holds. */
const COUNT = IS_LONG ? 20_000 : 4000
const OUTAGE_MS = IS_LONG ? 10_000 : 2000

const faults: readonly { readonly title: string; readonly count: number; readonly act: (lab: Lab) => Promise<void> }[] = [
  {
    title: 'the daemons are restarted',
    count: COUNT,
    act: async (lab) => {
      await Promise.all(lab.daemons.map((daemon) => daemon.stop()))
      await Promise.all(lab.daemons.map((daemon) => daemon.start()))
    },
  },
  {
    title: 'the daemons are killed and started again',
    count: COUNT,
    act: async (lab) => {
      await Promise.all(lab.daemons.map((daemon) => daemon.stop('SIGKILL')))
      await Promise.all(lab.daemons.map((daemon) => daemon.start()))
    },
  },
  {
    title: 'etcd is stopped and started again',
    count: COUNT + OUTAGE_MS,
    act: async (lab) => {
      await lab.etcd.stop('SIGKILL')
      await outage(OUTAGE_MS)
      await lab.etcd.start()
    },
  },
  {
    title: 'etcd is stopped, and the daemons restarted before it comes back',
    count: COUNT + OUTAGE_MS,
    act: async (lab) => {
      await untilSaved(lab)
      await lab.etcd.stop('SIGKILL')
      await Promise.all(lab.daemons.map((daemon) => daemon.stop('SIGKILL')))
      await Promise.all(lab.daemons.map((daemon) => daemon.start()))
      await lab.etcd.start()
    },
  },
]

for (const { title, count, act } of faults) {
  test(`nothing is lost while ${title}`, async () => {
    await withLab({ hosts: [0, 0, 1], etcd: 'plain', mode: 'vxlan-cross-subnet' }, async (lab) => {
      for (const traffic of await trafficOn(lab, count)) {
        const suffering = await sufferingOf(traffic, () => act(lab))
        process.stdout.write(showSuffering(`${title}, ${traffic.from.name} to ${traffic.to.name}`, suffering))
        assert.equal([suffering.probe.lost, suffering.full.lost], [0, 0])
        assert.ok(suffering.longestStallMs < STALL_MS, `the stream stalled for ${suffering.longestStallMs} ms`)
      }
    })
  })
}

test.run()

/** Between two subnets, in the tunnel; in the long form also on one subnet, without it. */
async function trafficOn(lab: Lab, count: number): Promise<Traffic[]> {
  const [first, second, third] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2'), await lab.addWorkload('h3', 'w3')]
  await untilReached(first, second)
  await untilReached(first, third)
  const { mtuBytes } = await lab.daemon('h1').status()
  const far = { from: first, to: third, address: addressOf(third), mtuBytes, count }
  return IS_LONG ? [far, { ...far, to: second, address: addressOf(second) }] : [far]
}

/** Every daemon has the last workload on disk: a view is saved some time after it changed, and without one a start waits for etcd. */
async function untilSaved(lab: Lab): Promise<void> {
  for (const { host } of lab.daemons) {
    const file = join(host.folder, 'lib/view.jsonl')
    await until({ what: `${file} to have w3` }, () => (existsSync(file) && readFileSync(file, 'utf8').includes('-w3-') ? true : undefined))
  }
}

/** How long etcd is away: the length of the outage is what is tested. */
function outage(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
