import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config.ts'

/** The parts of the configuration that differ, in words: this version takes them over when it is started again. */
export function describeReload(before: Config, after: Config): readonly string[] {
  const groups = Object.keys(after) as (keyof Config)[]
  return groups
    .filter((group) => !isDeepStrictEqual(before[group], after[group]))
    .map((group) => `${group} is different now: restart margayd to take it over, traffic goes on meanwhile`)
}
