// runs alone
// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { median } from '../../bench/statistics.ts'
import { until } from '../../scripts/lab/command.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import { firstReply } from '../../scripts/lab/probe.ts'
import type { WorkloadReport } from '../../src/model/own/api.ts'
import { IS_LONG } from '../support/fault.ts'
import { withIdleLab } from '../support/scenario.ts'

const test = suite('lab/joins')
const JOINS = IS_LONG ? 10 : 3
const LIMIT_MS = 500
const ADDRESS = '10.65.200.10'

test(`the first reply from a host that joins comes within ${LIMIT_MS} ms of its Node (p50)`, async () => {
  const times: number[] = []
  for (let round = 0; round < JOINS; round += 1) {
    await withIdleLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
      times.push(await join(lab))
    })
  }
  process.stdout.write(`first reply after ${times.map((ms) => Math.round(ms)).join(' ')} ms, p50 ${Math.round(median(times))} ms\n`)
  assert.ok(median(times) <= LIMIT_MS, `p50 is ${Math.round(median(times))} ms`)
})

test.run()

/**
 * One host runs, with a workload that asks for an address all the time. A second host starts with nothing and is given, by its
 * API as soon as that answers, a workload with this address. Gives the time from the Node's tunnel address to the first reply.
 */
async function join(lab: Lab): Promise<number> {
  const [old, fresh] = [lab.daemon('h1'), lab.daemon('h2')]
  await old.start()
  const asker = await lab.addWorkload('h1', 'w1')
  const { path } = await lab.topology.addNamespace('w2')
  let since = Number.NaN
  const watcher = lab.etcd.watch('/calico/resources/v3/projectcalico.org/nodes/h2', (value) => {
    if (Number.isNaN(since) && value.includes('ipv4VXLANTunnelAddr')) since = performance.now()
  })
  try {
    const replied = firstReply(asker.namespace, ADDRESS, 20_000)
    fresh.launch()
    await until({ what: 'the workload to be attached', everyMs: 5 }, () =>
      fresh.post<WorkloadReport>('/v1/workloads', { name: 'w2', namespace: 'default', netns: path, ips: [ADDRESS] }),
    )
    return (await replied) - since
  } finally {
    watcher.close()
  }
}
