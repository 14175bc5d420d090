import { type Cidr, ipOf, lengthOf } from './cidr.ts'
import { addressBits, type Family, familyOf, type Ip, ipToNumber, ipv4ToNumber } from './ip.ts'

/** One prefix of the map with its value. */
export interface PrefixEntry<V> {
  readonly cidr: Cidr
  readonly value: V
}

/**
 * Values by prefix, with longest-prefix match. One hash table a prefix length: a search costs as many look-ups as there are
 * different lengths, whatever the number of prefixes (a cluster has a handful of lengths and thousands of prefixes).
 */
export class PrefixMap<V> {
  private readonly tables: Readonly<Record<Family, Table<V>[]>> = { 4: [], 6: [] }

  get size(): number {
    return [...this.tables[4], ...this.tables[6]].reduce((sum, table) => sum + table.entries.size, 0)
  }

  /** Sets the prefix's value; an earlier one is replaced. */
  set(cidr: Cidr, value: V): this {
    this.tableFor(cidr).entries.set(numberAt(ipOf(cidr), lengthOf(cidr)), { cidr, value })
    return this
  }

  /** The value of exactly this prefix. */
  get(cidr: Cidr): V | undefined {
    return this.findTable(cidr)?.entries.get(numberAt(ipOf(cidr), lengthOf(cidr)))?.value
  }

  /** Whether there was such a prefix. */
  delete(cidr: Cidr): boolean {
    const tables = this.tables[familyOf(cidr)]
    const table = this.findTable(cidr)
    const isDeleted = table?.entries.delete(numberAt(ipOf(cidr), lengthOf(cidr))) ?? false
    if (table?.entries.size === 0) tables.splice(tables.indexOf(table), 1)
    return isDeleted
  }

  /** The longest prefix that holds the address. */
  longest(ip: Ip): PrefixEntry<V> | undefined {
    for (const { length, entries } of this.tables[familyOf(ip)]) {
      const found = entries.get(numberAt(ip, length))
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Every prefix that holds the whole of an address or a prefix (itself too), the longest first. */
  covering(inner: Ip | Cidr): readonly PrefixEntry<V>[] {
    const isCidr = inner.includes('/')
    const ip = isCidr ? ipOf(inner as Cidr) : (inner as Ip)
    const most = isCidr ? lengthOf(inner as Cidr) : addressBits(familyOf(ip))
    return this.tables[familyOf(ip)].flatMap(({ length, entries }) => {
      const found = length > most ? undefined : entries.get(numberAt(ip, length))
      return found === undefined ? [] : [found]
    })
  }

  *[Symbol.iterator](): Iterator<PrefixEntry<V>> {
    for (const table of [...this.tables[4], ...this.tables[6]]) yield* table.entries.values()
  }

  private findTable(cidr: Cidr): Table<V> | undefined {
    return this.tables[familyOf(cidr)].find((table) => table.length === lengthOf(cidr))
  }

  private tableFor(cidr: Cidr): Table<V> {
    const found = this.findTable(cidr)
    if (found !== undefined) return found
    const made: Table<V> = { length: lengthOf(cidr), entries: new Map() }
    const tables = this.tables[familyOf(cidr)]
    tables.push(made)
    tables.sort((a, b) => b.length - a.length)
    return made
  }
}

/** The prefixes of one length, by their first `length` bits. */
interface Table<V> {
  readonly length: number
  readonly entries: Map<number | bigint, PrefixEntry<V>>
}

/** The first bits of an address, as a number. */
function numberAt(ip: Ip, length: number): number | bigint {
  if (familyOf(ip) === 6) return ipToNumber(ip) >> BigInt(128 - length)
  return length === 0 ? 0 : ipv4ToNumber(ip) >>> (32 - length)
}
