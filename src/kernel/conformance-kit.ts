import * as assert from 'uvu/assert'
import { type InterfaceAddress, parseCidr } from '../net/cidr.ts'
import { formatIp, type Ip } from '../net/ip.ts'
import { type Mac, macFromBytes } from '../net/mac.ts'
import { keyOf, type Link, MAIN_TABLE, type Route, type TableName, type TableTypes, type VethLink } from './objects.ts'
import type { Kernel, KernelEvent, KernelTable } from './table.ts'

/** A kernel with an interface `eth0` that has 192.0.2.10/24 and 2001:db8::10/64, and somebody else who changes things. */
export interface World {
  readonly kernel: Kernel
  /** A fresh network namespace; gives its path. */
  addNetns(): string
  removeNetns(path: string): void
  /** What others do. */
  readonly others: {
    removeRoute(route: Route): void
    removeFdb(link: string, mac: Mac): void
    removeLink(name: string): void
    flushAddresses(link: string): void
    setMtu(link: string, mtuBytes: number): void
  }
  close(): void
}

const never = new AbortController().signal
const DEADLINE_MS = 5000

/** A tunnel of ours over `eth0`. */
export function aTunnel(more: Partial<Extract<Link, { kind: 'vxlan' }>> = {}): Extract<Link, { kind: 'vxlan' }> {
  const mac = '66:00:5e:00:53:01' as Mac
  return {
    kind: 'vxlan',
    name: 'margay.vxlan',
    mtuBytes: 1450,
    mac,
    vni: 4096,
    port: 4789,
    local: '192.0.2.10' as Ip,
    uplink: 'eth0',
    ...more,
  }
}

/** A workload's pair into this network namespace. */
export function aPair(netns: string, more: Partial<VethLink> = {}): VethLink {
  const addresses = ['10.65.0.2/32', '2001:db8:65::2/128'] as InterfaceAddress[]
  const peer = { netns, name: 'eth0', mac: '02:00:5e:00:53:02' as Mac, addresses, gateways: ['169.254.1.1', 'fe80::1'] as Ip[] }
  return { kind: 'veth', name: 'mgy0123456789a', mtuBytes: 1450, mac: 'ee:ee:ee:ee:ee:ee' as Mac, peer, ...more }
}

/** What one peer adds: a block's route, a neighbour and an FDB entry. */
export function aPeer(number: number) {
  const block = parseCidr(`${formatIp(4, 0x0a800000n + BigInt(number) * 64n)}/26`)
  const ip = formatIp(4, 0x0a800000n + BigInt(number) * 64n)
  const mac = macFromBytes(Uint8Array.of(0x66, 0, 0, number >> 16, (number >> 8) & 255, number & 255))
  const link = 'margay.vxlan'
  const route: Route = { table: MAIN_TABLE, destination: block, metric: 0, type: 'unicast', link, nextHop: ip, isOnlink: true }
  return { route, neighbour: { link, ip, mac }, fdb: { link, mac, dst: formatIp(4, 0xc6336400n + BigInt(number)) } }
}

/** Puts values into a table, all of which must be taken. */
export async function put<T extends TableName>(kernel: Kernel, table: T, ...values: TableTypes[T][]): Promise<void> {
  const failures = await kernel.tables[table].commit({ put: byKey(table, values), remove: new Map() }, never)
  assert.equal(
    [...failures].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
}

/** Removes values from a table; being gone already is success. */
export async function remove<T extends TableName>(kernel: Kernel, table: T, ...values: TableTypes[T][]): Promise<void> {
  const failures = await kernel.tables[table].commit({ put: new Map(), remove: byKey(table, values) }, never)
  assert.equal(
    [...failures].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
}

/** Lists a table; the keys must be those of the values. */
export async function list<T extends TableName>(kernel: Kernel, table: T): Promise<TableTypes[T][]> {
  const listed = await kernel.tables[table].list(never)
  for (const [key, value] of listed) assert.is(key, keyOf[table](value))
  return [...listed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

/** The table must hold these values and no others, as its own `matches` sees them. */
export async function expectOnly<T extends TableName>(kernel: Kernel, table: T, ...values: TableTypes[T][]): Promise<void> {
  const listed = await list(kernel, table)
  const wanted = [...byKey(table, values)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
  const { matches }: KernelTable<TableTypes[T]> = kernel.tables[table]
  const isSame = listed.length === wanted.length && wanted.every((value, i) => matches?.(value, listed[i] as TableTypes[T]))
  if (!isSame) assert.equal(listed, wanted, `${table} differ`)
}

/** Gathers events until one is as wanted, or the deadline passes. Gives all that were seen. */
export async function eventsUntil(
  kernel: Kernel,
  isWanted: (event: KernelEvent) => boolean,
  deadlineMs = DEADLINE_MS,
): Promise<KernelEvent[]> {
  const seen: KernelEvent[] = []
  for await (const event of kernel.events(AbortSignal.timeout(deadlineMs))) {
    seen.push(event)
    if (isWanted(event)) return seen
  }
  throw new assert.Assertion({
    message: `the event did not come in ${deadlineMs} ms; seen: ${JSON.stringify(seen)}`,
    details: '',
    generated: false,
    operator: 'eventsUntil',
    expects: 'an event',
    actual: seen,
  })
}

/** Values by the kernel's key, as a delta wants them. */
export function byKey<T extends TableName>(table: T, values: readonly TableTypes[T][]): Map<string, TableTypes[T]> {
  return new Map(values.map((value) => [keyOf[table](value), value]))
}
