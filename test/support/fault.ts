import { until } from '../../scripts/lab/command.ts'
import { isReachable, type ProbeResult, startProbe, startStream } from '../../scripts/lab/probe.ts'
import type { LabWorkload } from '../../scripts/lab/workload.ts'

/** Whether this is the long form of the tests (`npm test -- --long`), with which figures are measured. */
export const IS_LONG = process.env['TEST_LONG'] === '1'

/** How long a TCP stream may stand still. A machine that runs other tests too takes the receiver off its processor for longer. */
export const STALL_MS = IS_LONG ? 200 : 1000

/** What traffic between two workloads suffered while something was done. */
export interface Suffering {
  /** Echo requests each millisecond. */
  readonly probe: ProbeResult
  /** Full-MTU packets with DF, each 10 ms. */
  readonly full: ProbeResult
  readonly longestStallMs: number
}

/** Two workloads with traffic between them. */
export interface Traffic {
  readonly from: LabWorkload
  readonly to: LabWorkload
  readonly address: string
  readonly mtuBytes: number
  /** Echo requests at 1 ms; they must take longer than what is done. */
  readonly count: number
}

/** The address of one family of a workload. */
export function addressOf({ name, addresses }: LabWorkload, family: 4 | 6 = 4): string {
  const found = addresses.find((address) => address.includes(':') === (family === 6))
  if (found === undefined) throw new Error(`${name} has no IPv${family} address`)
  return found
}

/** Waits until one workload reaches another. */
export async function untilReached(from: LabWorkload, to: LabWorkload, family: 4 | 6 = 4): Promise<void> {
  const what = `${from.name} to reach ${to.name} over IPv${family}`
  await until({ what }, async () => ((await isReachable(from.namespace, addressOf(to, family))) ? true : undefined))
}

/** Does something while probes, full-MTU packets and a TCP stream are on the way; throws if the probes ended before it. */
export async function sufferingOf(traffic: Traffic, action: () => Promise<void>): Promise<Suffering> {
  const { from, to, address, mtuBytes, count } = traffic
  const stream = await startStream(from.namespace, to.namespace, address)
  const probe = startProbe(from.namespace, { to: address, count })
  const full = startProbe(from.namespace, { to: address, count: Math.floor(count / 10), intervalS: 0.01, packetBytes: mtuBytes })
  await Promise.all([probe.running, full.running])
  let isOver = false
  const ended = probe.ended.finally(() => {
    isOver = true
  })
  await action()
  if (isOver) throw new Error(`${count} probes do not span what was done`)
  const results = [await ended, await full.ended] as const
  const { longestStallMs } = await stream.end()
  return { probe: results[0], full: results[1], longestStallMs }
}

/** One line of figures, for the log of the test. */
export function showSuffering(what: string, { probe, full, longestStallMs }: Suffering): string {
  const spoken = `${probe.lost} of ${probe.sent} probes lost (${probe.longestRun} in a row), ${full.lost} of ${full.sent} full-MTU packets`
  return `${what}: ${spoken}, longest stall of the stream ${longestStallMs} ms\n`
}
