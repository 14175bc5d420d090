/** Writes lines for a person, or the one for a machine. */
export function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Writes rows with their columns under one another. */
export function table(rows: readonly (readonly string[])[]): void {
  const widths: number[] = []
  for (const row of rows) for (const [column, text] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length)
  for (const row of rows)
    say(
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

/** Emphasis, only where a person sees it: never into a file or a pipe, and not with NO_COLOR. */
export const bold = painter(1, 22)
export const dim = painter(2, 22)
export const red = painter(31, 39)
export const green = painter(32, 39)

/** An error that ends the program with exit code 2: it was called wrongly. */
export function usageError(message: string): Error {
  return Object.assign(new Error(message), { code: 'USAGE' })
}

/** Turns what parseArgs throws into a usage error. */
export function usage<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error))
  }
}

function painter(on: number, off: number): (text: string) => string {
  return (text) => (process.stdout.isTTY && process.env['NO_COLOR'] === undefined ? `\x1b[${on}m${text}\x1b[${off}m` : text)
}
