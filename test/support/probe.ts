import { until } from './nft-lab.ts'
import type { PolicyLab } from './policy-lab.ts'
import type { Journey } from './random-policies.ts'

/** Whether each packet got through: all that should have are waited for. */
export async function probe(
  lab: PolicyLab,
  journeys: readonly Journey[],
  expected: readonly boolean[],
  firstId: number,
): Promise<readonly boolean[]> {
  for (const [i, { from, packet, hopLimit }] of journeys.entries()) lab.send(from, packet, firstId + i, hopLimit)
  const received = new Map<number, string>()
  const isComplete = () => {
    for (const [id, where] of lab.takeReceived()) received.set(id, where)
    return expected.every((isAllowed, i) => !isAllowed || received.has(firstId + i)) ? true : undefined
  }
  // What does not come in time is told as a difference, with all that belongs to it.
  await until('all packets', isComplete).catch(() => undefined)
  return journeys.map(({ to }, i) => received.get(firstId + i) === (to ?? 'host'))
}

/** A journey as the evaluator takes it. */
export function asPath({ from, to, packet, translated, hopLimit }: Journey) {
  return { ...packet, inInterface: from === 'host' ? undefined : from, outInterface: to, state: 'new' as const, translated, hopLimit }
}

/** Without ports an answer looks like a question: of two packets between the same ends only the first is sent. */
export function isNews({ packet }: Journey, seen: Set<string>): boolean {
  if (packet.protocol !== 99) return true
  const ends = [packet.source.address, packet.destination.address].sort().join()
  if (seen.has(ends)) return false
  seen.add(ends)
  return true
}
