// runs alone
// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import { readUsage } from '../../scripts/lab/probe.ts'
import { IS_LONG } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/rest')
const SPAN_MS = IS_LONG ? 60_000 : 5000
const MOST_BYTES = 120 * 1024 * 1024

test('a daemon at rest takes little memory and hardly any time', async () => {
  await withLab({ hosts: [0, 0, 1], etcd: 'plain', mode: 'vxlan-cross-subnet' }, async (lab) => {
    for (const { host } of lab.daemons) await lab.addWorkload(host.host, host.host.replace('h', 'w'))
    const pids = lab.daemons.map((daemon) => daemon.pid())
    // Rest begins when what the start left behind is over: the collection of garbage, above all.
    await until({ what: 'the daemons to come to rest', deadlineMs: 60_000, everyMs: 0 }, () => isQuiet(pids))
    const before = await Promise.all(pids.map(readUsage))
    // The span is what is measured.
    await new Promise((resolve) => setTimeout(resolve, SPAN_MS))
    const after = await Promise.all(pids.map(readUsage))
    for (const [index, { rssBytes, cpuMs }] of after.entries()) {
      const percent = ((cpuMs - (before[index]?.cpuMs ?? 0)) / SPAN_MS) * 100
      process.stdout.write(
        `h${index + 1} at rest: ${(rssBytes / 1024 / 1024).toFixed(1)} MiB resident, ${percent.toFixed(2)} % of one core\n`,
      )
      assert.ok(rssBytes < MOST_BYTES, `${rssBytes} bytes resident`)
      // The clock counts in ticks of 10 ms, which is much in a short span.
      assert.ok(percent < (IS_LONG ? 0.5 : 2), `${percent} % of one core`)
    }
  })
})

/** Whether none of the processes worked for more than 10 ms in three seconds. */
async function isQuiet(pids: readonly number[]): Promise<true | undefined> {
  const before = await Promise.all(pids.map(readUsage))
  await new Promise((resolve) => setTimeout(resolve, 3000))
  const after = await Promise.all(pids.map(readUsage))
  return after.every(({ cpuMs }, index) => cpuMs - (before[index]?.cpuMs ?? 0) <= 10) ? true : undefined
}

test.run()
