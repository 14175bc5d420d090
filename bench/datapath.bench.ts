import { run } from '../scripts/lab/command.ts'
import { say } from '../scripts/lab/screen.ts'
import { buildTopology } from '../scripts/lab/topology.ts'
import { handMade, margayPath, type Path } from './paths.ts'
import { type BenchResult, readBenchArgs, report } from './report.ts'
import { median, percentile, ratioOf } from './statistics.ts'

/** What one path did, round by round. */
interface Samples {
  readonly gbits: number[]
  readonly rttUs: number[]
}

/**
 * TCP throughput and round-trip time between two workloads on two hosts of one subnet, each way of margay's against the same
 * made by hand. All ways stand at the same time and are measured in turn, so that a slow moment of the machine hits all of them.
 */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  // Many short rounds: a slow moment of the machine spoils one of them, not a tenth of the time.
  const rounds = options.isQuick ? 5 : 31
  const paths: Path[] = []
  try {
    paths.push(await handMade('plain', await buildTopology({ hosts: [0, 0] })))
    paths.push(await margayPath('direct'))
    paths.push(await handMade('bare-tunnel', await buildTopology({ hosts: [0, 0] })))
    paths.push(await handMade('hand-made', await buildTopology({ hosts: [0, 0] })))
    paths.push(await margayPath('vxlan'))
    const samples = await measure(paths, rounds, options.isQuick ? 100 : 300)
    return report(await resultOf(paths, samples), options)
  } finally {
    for (const path of paths) await path.close()
  }
}

async function measure(paths: readonly Path[], rounds: number, echoes: number): Promise<Map<string, Samples>> {
  const samples = new Map(paths.map(({ name }) => [name, { gbits: [], rttUs: [] } as Samples]))
  // Once without counting: the first connection pays for neighbour discovery and cold caches.
  for (const path of paths) await measureTcp(path)
  for (let round = 0; round < rounds; round += 1) {
    // There and back again: what is compared stands side by side, and neither always follows the other.
    for (const path of round % 2 === 0 ? paths : paths.toReversed()) {
      samples.get(path.name)?.gbits.push(await measureTcp(path))
      samples.get(path.name)?.rttUs.push(await measureRtt(path, echoes))
    }
    say(
      `round ${round + 1} of ${rounds}: ${paths.map(({ name }) => `${name} ${samples.get(name)?.gbits.at(-1)?.toFixed(2)} Gbit/s`).join(', ')}`,
    )
  }
  return samples
}

/** What the receiver got in one second, in Gbit/s. */
async function measureTcp(path: Path): Promise<number> {
  const text = await run(path.from, ['iperf3', '-c', path.address, '-t', '1', '-J'], { timeoutMs: 30_000 })
  const { end } = JSON.parse(text) as { readonly end: { readonly sum_received: { readonly bits_per_second: number } } }
  return end.sum_received.bits_per_second / 1e9
}

/** The median of these echo requests, 1 ms apart, in microseconds. */
async function measureRtt(path: Path, echoes: number): Promise<number> {
  const text = await run(path.from, ['ping', '-n', '-i', '0.001', '-c', String(echoes), path.address])
  return median([...text.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000))
}

async function resultOf(paths: readonly Path[], samples: ReadonlyMap<string, Samples>): Promise<BenchResult> {
  const of = (name: string) => samples.get(name) ?? { gbits: [], rttUs: [] }
  const pairs = [
    ['vxlan', 'hand-made'],
    ['vxlan', 'bare-tunnel'],
    ['vxlan', 'plain'],
    ['direct', 'plain'],
  ] as const
  const figures: Record<string, number> = {}
  for (const { name } of paths) {
    const key = name.replace('-', '_')
    figures[`tcp_${key}_gbits`] = median(of(name).gbits)
    figures[`rtt_${key}_p50_us`] = median(of(name).rttUs)
  }
  const delays = (await Promise.all(paths.map((path) => path.loopDelaysMs()))).flat()
  figures['loop_delay_p999_ms'] = percentile(delays, 100)
  const ratios = pairs.flatMap(([ours, theirs]) => [
    [`${ours}/${theirs}`, ratioOf(of(ours).gbits, of(theirs).gbits)] as const,
    [`rtt ${ours}/${theirs}`, ratioOf(of(ours).rttUs, of(theirs).rttUs)] as const,
  ])
  const [hand, ours] = ['hand-made', 'vxlan'].map((name) => paths.find((path) => path.name === name))
  return { name: 'datapath', figures, ratios: Object.fromEntries(ratios), faults: await differences(hand, ours) }
}

/** Where the two tunnels are not the same device: what `ip -d link` says but for names and addresses, and the offloads. */
async function differences(hand: Path | undefined, ours: Path | undefined): Promise<string[]> {
  const [theirFacts, ourFacts] = [await hand?.tunnelFacts(), await ours?.tunnelFacts()]
  if (theirFacts === undefined || ourFacts === undefined) return ['a tunnel is missing']
  const keys = [...new Set([...Object.keys(theirFacts), ...Object.keys(ourFacts)])].sort()
  return keys
    .filter((key) => theirFacts[key] !== ourFacts[key])
    .map((key) => `the tunnels differ: ${key} is ${ourFacts[key] ?? 'absent'}, made by hand it is ${theirFacts[key] ?? 'absent'}`)
}
