import type { Lab } from './lab.ts'
import type { Pair } from './matrix.ts'
import type { WireCount } from './wire.ts'
import type { LabWorkload } from './workload.ts'

/** A mode that the lab can show, with the `vxlanMode` of its pools. */
const VXLAN_MODES: Readonly<Record<string, string>> = { vxlan: 'Always', 'vxlan-cross-subnet': 'CrossSubnet', direct: 'Never' }

/** The modes that the lab can show. */
export const LAB_MODES = Object.keys(VXLAN_MODES)

/** Pairs that answered and pairs that should. */
export interface PairCount {
  readonly total: number
  readonly reachable: number
  readonly expected: number
}

/** How a packet between two workloads travels in a mode: in its host, as it is, wrapped, or not at all. */
export function wayOf(mode: string, from: LabWorkload, to: LabWorkload): 'local' | 'plain' | 'encapsulated' | 'none' {
  const [a, b] = [from.daemon.host, to.daemon.host]
  if (a.host === b.host) return 'local'
  if (mode === 'vxlan') return 'encapsulated'
  if (a.subnet === b.subnet) return 'plain'
  return mode === 'direct' ? 'none' : 'encapsulated'
}

/** Counts a matrix against what the mode promises. */
export function countPairs(mode: string, pairs: readonly Pair[]): PairCount {
  const expected = pairs.filter(({ from, to }) => wayOf(mode, from, to) !== 'none')
  return { total: pairs.length, reachable: pairs.filter(({ isReached }) => isReached).length, expected: expected.length }
}

/** Whether exactly those pairs answer that should. */
export function isMatrixRight(mode: string, pairs: readonly Pair[]): boolean {
  return pairs.every(({ from, to, isReached }) => isReached === (wayOf(mode, from, to) !== 'none'))
}

/** Whether both kinds of packets were seen on the wire exactly where the mode has pairs that travel so. */
export function isWireRight(mode: string, pairs: readonly Pair[], wire: WireCount): boolean {
  const has = (way: string) => pairs.some(({ from, to }) => wayOf(mode, from, to) === way)
  return wire.encapsulated > 0 === has('encapsulated') && wire.plain > 0 === has('plain')
}

/** Changes the mode of the default pools, as a person does it: get, edit, apply. */
export async function switchMode(lab: Lab, mode: string): Promise<void> {
  const daemon = lab.daemon('h1')
  const get = await daemon.margay(['get', 'ippool', '-o', 'json'])
  if (get.code !== 0) throw new Error(`margay get ippool ended with ${get.code}: ${get.stderr.trim()}`)
  const pools = JSON.parse(get.stdout) as Pool | readonly Pool[] | { readonly items: readonly Pool[] }
  const list = Array.isArray(pools) ? (pools as readonly Pool[]) : 'items' in pools ? pools.items : [pools as Pool]
  const changed = list.map((pool) => ({ ...pool, spec: { ...pool.spec, vxlanMode: VXLAN_MODES[mode] } }))
  const text = changed.map((pool) => JSON.stringify(pool)).join('\n---\n')
  const apply = await daemon.margay(['apply', '-f', '-'], text)
  if (apply.code !== 0) throw new Error(`margay apply ended with ${apply.code}: ${apply.stderr.trim()}`)
}

interface Pool {
  readonly spec: Readonly<Record<string, unknown>>
}
