import { stringify } from 'yaml'

/** Columns as wide as their widest cell with three blanks between, as calicoctl prints; which also leaves blanks at the end of a line. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], isCalicoctl = false): string {
  const lines = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)) + 3)
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(''))
    .map((line) => `${isCalicoctl ? line : line.trimEnd()}\n`)
    .join('')
}

/** Names and values below each other, values aligned. Values of several lines keep their column. */
export function renderFacts(facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 3
  return facts.map(([name, value]) => `${name.padEnd(width)}${value.replaceAll('\n', `\n${' '.repeat(width)}`)}\n`).join('')
}

/** Two-blank JSON with a newline. Integers that a JavaScript number cannot hold are texts, so that no reader loses digits. */
export function renderJson(value: unknown): string {
  return `${JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? exact(each) : each), 2)}\n`
}

function exact(value: bigint): number | string {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : String(value)
}

/** Block-style YAML; long lines are not folded. Texts are quoted as YAML 1.1 needs it, which Go's readers know: `yes`, `012`, times. */
export function renderYaml(value: unknown, isSorted = false): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1', sortMapEntries: isSorted })
}

/** How long ago, in one unit: `3s ago`, `5m ago`, `2h ago`, `9d ago`. Clocks may differ: what is to come is `now`. */
export function formatAge(then: Date, now: Date): string {
  const seconds = Math.floor((now.getTime() - then.getTime()) / 1000)
  if (seconds < 1) return 'now'
  if (seconds < 120) return `${seconds}s ago`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m ago`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h ago`
  return `${Math.floor(seconds / 86_400)}d ago`
}

/** Items between commas, or a dash where there are none. */
export function joinOrDash(items: readonly string[]): string {
  return items.length === 0 ? '-' : items.join(', ')
}
