import { isReachable } from './probe.ts'
import type { LabWorkload } from './workload.ts'

/** One ordered pair of workloads and whether the second answers the first. */
export interface Pair {
  readonly from: LabWorkload
  readonly to: LabWorkload
  readonly isReached: boolean
}

/** Asks every workload from every other one, in one family; all at once, so it takes two seconds at most. */
export async function checkMatrix(workloads: readonly LabWorkload[], family: 4 | 6): Promise<readonly Pair[]> {
  const pairs = workloads.flatMap((from) => workloads.filter((to) => to !== from).map((to) => ({ from, to })))
  return Promise.all(
    pairs.map(async ({ from, to }) => {
      const address = addressOf(to, family)
      return { from, to, isReached: address !== undefined && (await isReachable(from.namespace, address)) }
    }),
  )
}

/** A workload's first address of a family. */
export function addressOf(workload: LabWorkload, family: 4 | 6): string | undefined {
  return workload.addresses.find((address) => address.includes(':') === (family === 6))
}

/** The matrix as a person reads it: one row for each sender, `·` for itself, `yes` or `no`. */
export function drawMatrix(workloads: readonly LabWorkload[], pairs: readonly Pair[]): string[] {
  const width = Math.max(...workloads.map(({ name }) => name.length)) + 2
  const cell = (text: string) => text.padEnd(width)
  const reached = new Set(pairs.filter((pair) => pair.isReached).map(({ from, to }) => `${from.name} ${to.name}`))
  const row = (from: LabWorkload) =>
    workloads.map((to) => cell(from === to ? '·' : reached.has(`${from.name} ${to.name}`) ? 'yes' : 'no')).join('')
  return [cell('') + workloads.map(({ name }) => cell(name)).join(''), ...workloads.map((from) => cell(from.name) + row(from))].map(
    (line) => line.trimEnd(),
  )
}
