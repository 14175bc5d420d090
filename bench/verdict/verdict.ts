import { run, until } from '../../scripts/lab/command.ts'
import { type Lab, openLab } from '../../scripts/lab/lab.ts'
import { readUsage } from '../../scripts/lab/probe.ts'
import { say } from '../../scripts/lab/screen.ts'
import { NODE_FLAGS } from '../../scripts/node-flags.mjs'
import type { PassReport } from '../../src/model/own/api.ts'
import type { BenchArgs, BenchResult } from '../report.ts'
import { median, percentile } from '../statistics.ts'
import type { ChangeKind, ClientTask, ProbeResult } from './client.ts'
import { PROBED_LIST } from './world.ts'

/** What is promised is of the first; the others show what the size of things does. */
const SIZES = [
  { policies: 1000, members: 10_000 },
  { policies: 10, members: 10_000 },
  { policies: 10_000, members: 10_000 },
  { policies: 1000, members: 100_000 },
] as const

/**
 * From an etcd write by a client until packets get the other verdict: a workload of another host is relabelled and becomes a member of a
 * set, and a policy of 20 rules in the middle of an endpoint's list changes one of them. A real daemon on a real etcd and kernel; packets
 * are sent each 0.2 ms from beyond the host to a workload of it.
 */
export async function verdict({ isQuick }: BenchArgs, entry: string): Promise<Omit<BenchResult, 'name'>> {
  const figures: Record<string, number> = {}
  const faults: string[] = []
  for (const size of isQuick ? SIZES.slice(0, 1) : SIZES) {
    const { relabelled, policy, delayMs } = await measure(size, isQuick ? 60 : 300, entry)
    const key = size === SIZES[0] ? '' : `_${size.policies}_${size.members}`
    for (const [name, { verdictMs, cpuMs }] of Object.entries({ relabelled, policy })) {
      figures[`${name}${key}_p50_ms`] = median(verdictMs)
      figures[`${name}${key}_p99_ms`] = percentile(verdictMs, 99)
      figures[`${name}${key}_cpu_ms`] = cpuMs
    }
    figures[`etcd_write${key}_p50_ms`] = median([...relabelled.writeMs, ...policy.writeMs])
    if (delayMs !== undefined) figures[`loop_delay${key}_p999_ms`] = delayMs
    faults.push(...relabelled.faults, ...policy.faults)
    if (size !== SIZES[0]) continue
    figures['write_to_verdict_p50_ms'] = Math.max(median(relabelled.verdictMs), median(policy.verdictMs))
    figures['write_to_verdict_p99_ms'] = Math.max(percentile(relabelled.verdictMs, 99), percentile(policy.verdictMs, 99))
  }
  return { figures, ratios: {}, faults }
}

/** What came of one kind of change, with the processor time of the daemon for each. */
interface Outcome extends ProbeResult {
  readonly cpuMs: number
}

async function measure(size: { readonly policies: number; readonly members: number }, rounds: number, entry: string) {
  const lab = await openLab({
    ...{ hosts: [0], etcd: 'plain', mode: 'vxlan' },
    // The synthetic endpoints are in 10.64.0.0/10.
    config: { pools: { ipv4: { cidr: '10.200.0.0/16' }, ipv6: { cidr: 'none' } } },
  })
  try {
    const daemon = lab.daemon('h1')
    await daemon.start()
    const workload = await lab.addWorkload('h1', 'w1', ['--label', `list=${PROBED_LIST}`])
    const address = workload.addresses.find((one) => !one.includes(':')) ?? ''
    await run(lab.topology.router, ['ip', 'route', 'add', `${address}/32`, 'via', daemon.host.ipv4])
    const task = { endpoint: lab.etcd.endpoint, size: { ...size, joining: rounds } }
    await inRouter(lab, entry, { do: 'load', ...task })
    await untilIdle(lab)
    const probe = async (change: ChangeKind): Promise<Outcome> => {
      const before = await readUsage(daemon.pid())
      const answer = await inRouter(lab, entry, { do: 'probe', ...task, netns: workload.namespace.path, address, rounds, change })
      const { cpuMs } = await readUsage(daemon.pid())
      const result = JSON.parse(answer) as ProbeResult
      say(`${size.policies} policies, ${size.members} members: ${change} ${median(result.verdictMs).toFixed(2)} ms`)
      return { ...result, cpuMs: (cpuMs - before.cpuMs) / rounds }
    }
    const [relabelled, policy] = [await probe('relabelled'), await probe('policy')]
    const { loopDelayP999Ms: delayMs } = await daemon.status()
    await daemon.stop()
    return { relabelled, policy, delayMs }
  } finally {
    await lab.close()
  }
}

/** Runs a client where etcd is. */
export function inRouter(lab: Lab, entry: string, task: ClientTask): Promise<string> {
  return run(lab.topology.router, [process.execPath, ...NODE_FLAGS, entry, 'client', JSON.stringify(task)], { timeoutMs: 600_000 })
}

/** Waits until the daemon has worked in all that was written: no pass of more than a heartbeat for a second. */
export async function untilIdle(lab: Lab): Promise<void> {
  const key = '/calico/resources/v3/projectcalico.org/'
  const answer = await lab.etcd.control(['get', key, '--prefix', '--limit=1', '-w', 'json'])
  const { header } = JSON.parse(answer) as { readonly header: { readonly revision: number } }
  await until({ what: `revision ${header.revision} to be applied`, deadlineMs: 120_000, everyMs: 200 }, async () => {
    const passes = await lab.daemon('h1').get<readonly PassReport[]>('/v1/debug/passes')
    return passes.some(({ revision }) => revision >= header.revision - 5) ? true : undefined
  })
}
