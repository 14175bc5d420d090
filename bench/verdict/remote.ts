import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Place, run, until } from '../../scripts/lab/command.ts'
import { openLab } from '../../scripts/lab/lab.ts'
import { readUsage } from '../../scripts/lab/probe.ts'
import { say } from '../../scripts/lab/screen.ts'
import type { PassReport } from '../../src/model/own/api.ts'
import type { BenchResult } from '../report.ts'
import { inRouter } from './verdict.ts'
import { PROBED_LIST } from './world.ts'

const ENDPOINTS = 100_000
/** V8 collects what the start left behind some ten seconds after it; so long it is waited for that memory stands still. */
const MOST_REST_MS = 90_000

/**
 * A daemon with 100,000 endpoints of other hosts, all of them members of a set that a policy of a workload here names: from its start to
 * READY=1 with all of them in the kernel, and its resident memory above that of the same with nothing in the store.
 */
export async function remote(entry: string): Promise<Omit<BenchResult, 'name'>> {
  const empty = await measure(0, entry)
  const full = await measure(ENDPOINTS, entry)
  say(`${ENDPOINTS} remote endpoints: in sync after ${Math.round(full.inSyncMs)} ms, ${Math.round(full.rssMb - empty.rssMb)} MB`)
  return {
    figures: {
      remote100k_mb: full.rssMb - empty.rssMb,
      remote100k_peak_mb: full.peakMb - empty.peakMb,
      remote100k_in_sync_ms: full.inSyncMs,
      remote100k_in_sync_cpu_ms: full.cpuMs,
      remote100k_loop_delay_p999_ms: full.delayMs,
    },
    ratios: {},
    faults: full.members === 2 * ENDPOINTS ? [] : [`the kernel has ${full.members} members, not ${2 * ENDPOINTS}`],
  }
}

async function measure(count: number, entry: string) {
  const lab = await openLab({
    ...{ hosts: [0], etcd: 'plain', mode: 'vxlan' },
    config: { pools: { ipv4: { cidr: '10.200.0.0/16' }, ipv6: { cidr: 'none' } } },
  })
  try {
    const daemon = lab.daemon('h1')
    await daemon.start()
    await lab.addWorkload('h1', 'w1', ['--label', `list=${PROBED_LIST}`])
    await daemon.stop()
    // With a saved view it would be ready before it has the store's.
    await rm(join(daemon.host.folder, 'lib', 'view.jsonl'))
    await inRouter(lab, entry, { do: 'load-remote', endpoint: lab.etcd.endpoint, count })
    const startMs = performance.now()
    await daemon.start(120_000)
    // READY=1 does not wait for ever.
    await until({ what: 'the first pass', deadlineMs: 120_000, everyMs: 20 }, async () =>
      (await daemon.get<readonly PassReport[]>('/v1/debug/passes')).length > 0 ? true : undefined,
    )
    const inSyncMs = performance.now() - startMs
    const { cpuMs } = await readUsage(daemon.pid())
    const members = await countMembers(daemon.host)
    await settle(daemon.pid())
    const { rssBytes } = await readUsage(daemon.pid())
    const { loopDelayP999Ms = Number.NaN } = await daemon.status()
    return { inSyncMs, cpuMs, members, rssMb: rssBytes / 1024 / 1024, peakMb: await readPeakMb(daemon.pid()), delayMs: loopDelayP999Ms }
  } finally {
    await lab.close()
  }
}

/** How many addresses are in sets of addresses of the kernel. */
async function countMembers(host: Place): Promise<number> {
  const text = await run(host, ['nft', '-j', 'list', 'table', 'inet', 'margay'], { timeoutMs: 60_000 })
  const { nftables } = JSON.parse(text) as {
    readonly nftables: readonly { readonly set?: { readonly name: string; readonly elem?: readonly unknown[] } }[]
  }
  return nftables.reduce((sum, { set }) => sum + (set !== undefined && /^s[46]_/.test(set.name) ? (set.elem?.length ?? 0) : 0), 0)
}

/** Resolves when memory has stood still for a while after a collection could have been, or when that does not come. */
async function settle(pid: number): Promise<void> {
  const beganMs = performance.now()
  let [lowest, sinceMs] = [Number.POSITIVE_INFINITY, beganMs]
  while (performance.now() - beganMs < MOST_REST_MS && performance.now() - Math.max(sinceMs, beganMs + 10_000) < STILL_MS) {
    const { rssBytes } = await readUsage(pid)
    if (rssBytes < lowest - (1 << 20)) [lowest, sinceMs] = [rssBytes, performance.now()]
    await delay(500)
  }
}

const STILL_MS = 25_000

async function readPeakMb(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) / 1024
}
