import { run, until } from '../scripts/lab/command.ts'
import { type Lab, openLab } from '../scripts/lab/lab.ts'
import { readUsage } from '../scripts/lab/probe.ts'
import { say } from '../scripts/lab/screen.ts'
import type { PassReport } from '../src/model/own/api.ts'
import { type BenchArgs, readBenchArgs, report } from './report.ts'
import { median, percentile } from './statistics.ts'
import { loadPeers, movePeer } from './synthetic-peers.ts'

/** What a daemon with so many peers did. */
interface Outcome {
  /** From the start of the process to READY=1. */
  readonly readyMs: number
  readonly firstPassMs: number
  readonly changesMs: readonly number[]
  readonly rssMb: number
  readonly loopDelayMs: number | undefined
}

/**
 * A daemon that follows a real etcd into a real kernel, with 1,000 and with 5,000 peers (a Node and a block each): the first pass,
 * and the way of one peer's new address from the follower's notice to the kernel's acknowledgement.
 */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  const figures: Record<string, number> = {}
  const faults: string[] = []
  const delays: number[] = []
  for (const peers of [1000, 5000]) {
    const { readyMs, firstPassMs, changesMs, rssMb, loopDelayMs } = await measure(peers, options)
    say(
      `${peers} peers: first pass ${Math.round(firstPassMs)} ms, one change ${median(changesMs).toFixed(2)} ms (p50 of ${changesMs.length})`,
    )
    figures[`ready_${peers}_ms`] = readyMs
    figures[`first_pass_${peers}_ms`] = firstPassMs
    figures[`change_${peers}_p50_ms`] = median(changesMs)
    figures[`change_${peers}_p99_ms`] = percentile(changesMs, 99)
    figures[`rss_${peers}_mb`] = rssMb
    if (loopDelayMs === undefined) faults.push('the daemon does not tell the delay of its event loop')
    else delays.push(loopDelayMs)
  }
  figures['loop_delay_p999_ms'] = Math.max(...delays)
  return report({ name: 'reconcile', figures, ratios: {}, faults }, options)
}

async function measure(peers: number, { isQuick }: BenchArgs): Promise<Outcome> {
  const lab = await openLab({
    hosts: [0],
    etcd: 'plain',
    mode: 'vxlan',
    config: { pools: { ipv4: { cidr: '10.64.0.0/10' }, ipv6: { cidr: 'none' } } },
  })
  try {
    const daemon = lab.daemon('h1')
    // The first start makes pool, block and device; what is measured is a start into a network that stands.
    await daemon.start()
    await daemon.stop()
    await loadPeers(lab, peers)
    const readyMs = await daemon.start(120_000)
    await checkKernel(lab, peers)
    const [first] = await daemon.get<readonly PassReport[]>('/v1/debug/passes')
    const changesMs = await measureChanges(lab, peers, isQuick ? 60 : 300)
    const { rssBytes } = await readUsage(daemon.pid())
    const status = await daemon.status()
    return {
      readyMs,
      firstPassMs: first?.passMs ?? Number.NaN,
      changesMs,
      rssMb: rssBytes / 1024 / 1024,
      loopDelayMs: status.loopDelayP999Ms,
    }
  } finally {
    await lab.close()
  }
}

/** A figure of entries that are not in the kernel would be worth nothing. */
async function checkKernel(lab: Lab, peers: number): Promise<void> {
  const { host } = lab.daemon('h1')
  await until({ what: `${peers} FDB entries`, deadlineMs: 60_000, everyMs: 200 }, async () => {
    const entries = (await run(host, ['bridge', 'fdb', 'show', 'dev', 'margay.vxlan'])).trim().split('\n').length
    return entries >= peers ? true : undefined
  })
}

/** Changes one peer after another and collects how long each took; a change that shared its pass with another is left out. */
async function measureChanges(lab: Lab, peers: number, count: number): Promise<number[]> {
  // Not the status, which lists every peer: asking for it would itself be work for the daemon.
  const passes = () => lab.daemon('h1').get<readonly PassReport[]>('/v1/debug/passes')
  const revisions = new Set<number>()
  for (let change = 0; change < count; change += 1) {
    const revision = await movePeer(lab, (change * 37) % peers)
    revisions.add(revision)
    await until({ what: 'the change to be applied', everyMs: 10 }, async () =>
      (await passes()).some((pass) => pass.revision >= revision) ? true : undefined,
    )
  }
  return (await passes()).filter((pass) => revisions.has(pass.revision) && pass.changes === 1).map((pass) => pass.sinceNoticeMs)
}
