import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { dim, say, table, usage } from '../scripts/lab/screen.ts'
import type { Estimate } from './statistics.ts'

/** What a bench found. Figures carry their unit in their name. */
export interface BenchResult {
  readonly name: string
  readonly figures: Readonly<Record<string, number>>
  readonly ratios: Readonly<Record<string, Estimate>>
  /** What must not be and was, in words; any of them fails the bench. */
  readonly faults: readonly string[]
}

/** How a bench was called. */
export interface BenchArgs {
  /** At most 45 s, with fewer rounds. */
  readonly isQuick: boolean
  readonly isJson: boolean
  /** The parts that are wanted, of a bench that has some; all unless given. */
  readonly only?: readonly string[] | undefined
}

/** Reads `--quick`, `--json` and, for a bench of several parts, `--only PART` (more than once for more). */
export function readBenchArgs(args: readonly string[], parts: readonly string[] = []): BenchArgs {
  const options = { quick: { type: 'boolean' }, json: { type: 'boolean' }, only: { type: 'string', multiple: true } } as const
  return usage(() => {
    const { values } = parseArgs({ args: [...args], options })
    const unknown = values.only?.find((part) => !parts.includes(part))
    if (unknown !== undefined) throw new Error(`--only: no part ${JSON.stringify(unknown)}: there are ${parts.join(', ') || 'none'}`)
    return { isQuick: values.quick ?? false, isJson: values.json ?? false, only: values.only }
  })
}

/** Shows the result to a person, and with `--json` as one last line to a machine; gives the exit code. */
export function report({ name, figures, ratios, faults }: BenchResult, { isJson }: BenchArgs): number {
  say('')
  table(Object.entries(figures).map(([figure, value]) => [figure, String(round(value))]))
  table(
    Object.entries(ratios).map(([ratio, { value, low, high }]) => [ratio, String(round(value)), dim(`${round(low)} to ${round(high)}`)]),
  )
  for (const fault of faults) say(`fault: ${fault}`)
  if (isJson) {
    const flat = Object.entries(ratios).flatMap(([ratio, { value, low, high }]) => [
      [ratio, round(value)],
      [`${ratio}_low`, round(low)],
      [`${ratio}_high`, round(high)],
    ])
    const rounded = Object.fromEntries(Object.entries(figures).map(([figure, value]) => [figure, round(value)]))
    say(
      JSON.stringify({
        name,
        machine: machine(),
        figures: rounded,
        ratios: Object.fromEntries(flat),
        ...(faults.length > 0 ? { faults } : {}),
      }),
    )
  }
  return faults.length === 0 ? 0 : 1
}

/** What was measured on. */
function machine(): Readonly<Record<string, string | number>> {
  const memory = Number(/^MemTotal:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0)
  const cores = cpus()
  return {
    kernel: release(),
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memory_gib: round(memory / 1024 / 1024),
    node: process.versions.node,
  }
}

/** Four digits that count: more would be noise. */
function round(value: number): number {
  return Number(value.toPrecision(4))
}
