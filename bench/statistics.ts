/** A value with the interval in which it lies with 95 % confidence. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

const RESAMPLES = 4000

/** The middle value; of two middle values the mean. NaN of nothing. */
export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** The value below which this part (0 to 100) of the values lies, between neighbours in proportion. NaN of nothing. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = ((sorted.length - 1) * part) / 100
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

/**
 * The median of the ratios of what was measured in the same round, with its interval by bootstrap (percentile method). Ratios
 * of one round cancel how fast the machine was in that round. The numbers are drawn by a fixed generator: same rounds, same answer.
 */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Estimate {
  const ratios = ours.flatMap((value, round) => {
    const other = theirs[round]
    return other === undefined ? [] : [value / other]
  })
  const draw = generator(20_261_121)
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(ratios.map(() => ratios[Math.floor(draw() * ratios.length)] ?? Number.NaN)),
  )
  return { value: median(ratios), low: percentile(medians, 2.5), high: percentile(medians, 97.5) }
}

/** Numbers from 0 to 1, always the same for one seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
