import type { AddressUse } from '../ipam/queries.ts'

/** A table with lines around it, as `calicoctl ipam show` prints. */
export function renderBoxed(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+\n`
  const line = (row: readonly string[]) => `|${row.map((cell, column) => ` ${cell.padEnd(widths[column] ?? 0)} `).join('|')}|\n`
  return [rule, line(header), rule, ...rows.map(line), rule].join('')
}

/** A number of addresses with five digits that count, and its share of the whole: `1.2089e+24 (100%)`. */
export function renderCount(part: bigint, whole?: bigint): string {
  const digits = part < 1_000_000n ? String(part) : shorten(part)
  if (whole === undefined) return digits
  const percent = whole === 0n ? 0 : Number((part * 1000n) / whole) / 10
  return `${digits} (${Math.round(percent)}%)`
}

function shorten(value: bigint): string {
  return Number(value)
    .toExponential(4)
    .replace(/\.?0+e/, 'e')
    .replace(/e\+(\d)$/, 'e+0$1')
}

/** Who has one address, in words. */
export function renderAddress({ ip, state, block, owner, handleId, attributes }: AddressUse): string {
  if (state === 'free') return `${ip} is not assigned\n`
  const where = block === undefined ? [] : [`Block: ${block}${owner === undefined ? '' : ` of ${owner}`}`]
  if (state === 'cooling') return `${ip} was released and is not given out yet\n${where.map((line) => `${line}\n`).join('')}`
  const facts = Object.entries(attributes).map(([key, value]) => `  ${key}: ${value}`)
  const lines = [`IP ${ip} is in use`, `Handle ID: ${handleId ?? '-'}`, ...where, ...(facts.length > 0 ? ['Attributes:', ...facts] : [])]
  return `${lines.join('\n')}\n`
}

/** A setting of address management as calicoctl calls it: `strictAffinity` is StrictAffinity, `ipCooldownSeconds` IPCooldownSeconds. */
export function propertyName(key: string): string {
  return `${key.charAt(0).toUpperCase()}${key.slice(1)}`.replace(/^Ip(?=[A-Z])/, 'IP')
}
