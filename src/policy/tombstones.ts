import type { NftChain, NftHook, NftObject, NftRule, NftSet } from '../kernel/objects.ts'
import { FAMILIES, type Family, type Ip } from '../net/ip.ts'
import type { Flow } from './flow.ts'
import { PORT_PROTOCOLS } from './packet.ts'

/** So long a flow that was ended is remembered after its last packet: longer than TCP waits between two attempts early on. */
export const TOMBSTONE_MS = 60_000

/** One direction of a flow that was ended, as an element of the set of its family: protocol, and address and port of both ends. */
export type Tombstone = readonly [number, Ip, number, Ip, number]

/** The sets of the directions that were ended. */
export const TOMBSTONE_SETS: Readonly<Record<Family, NftSet>> = { 4: tombstoneSet(4), 6: tombstoneSet(6) }

/** Base chains of flows that were ended. */
const CHAINS: readonly { readonly name: string; readonly hook: NftHook['hook'] }[] = [
  { name: 'ended-forward', hook: 'forward' },
  { name: 'ended-input', hook: 'input' },
  { name: 'ended-output', hook: 'output' },
]

/** The names of all that `tombstoneObjects` gives: they stand for what went on before, and are nothing for a host that boots. */
export const TOMBSTONE_NAMES: ReadonlySet<string> = new Set([
  ...CHAINS.map(({ name }) => name),
  ...FAMILIES.map((family) => TOMBSTONE_SETS[family].name),
])

/** Before all that decides about packets, so that TCP is told and not only left unanswered. */
const PRIORITY = -10

const TCP = 6

/**
 * What ends flows for good. That connection tracking has forgotten one is not enough: it takes the next packet of either side for the
 * first of a new connection (nf_conntrack_tcp_loose), and if that comes from the side whose policy lets it begin one, the flow goes on
 * the other way round. Each packet of an element answers TCP with RST, and makes the element stay. Every packet that is forwarded,
 * delivered or sent pays for these chains, so they are to be there only while there is an element.
 */
export function tombstoneObjects(): readonly NftObject[] {
  return [...Object.values(TOMBSTONE_SETS), ...CHAINS.map(({ name, hook }) => chain(name, hook))]
}

/**
 * Both directions of a flow, as their packets are where they are filtered and as they would be without translation, of which nobody knows
 * any more once the connection is forgotten. None for a protocol without ports: of ICMP nothing but a request begins anything, and of
 * others one flow can't be told from the next.
 */
export function tombstonesOf(flow: Flow): readonly Tombstone[] {
  if (!hasTombstones(flow)) return []
  const { original, reply } = flow
  const { protocol, source: here, sourcePort: herePort = 0, destination: asked, destinationPort: askedPort = 0 } = original
  const { source: there, sourcePort: therePort = 0, destination: answered, destinationPort: answeredPort = 0 } = reply
  const tombstones: Tombstone[] = [
    [protocol, here, herePort, there, therePort],
    [protocol, there, therePort, here, herePort],
  ]
  if (asked !== there || askedPort !== therePort) tombstones.push([protocol, here, herePort, asked, askedPort])
  if (answered !== here || answeredPort !== herePort) tombstones.push([protocol, there, therePort, answered, answeredPort])
  return tombstones
}

/** Whether such a flow has any. */
export function hasTombstones({ original }: Flow): boolean {
  return PORT_PROTOCOLS.includes(original.protocol)
}

function tombstoneSet(family: Family): NftSet {
  return { kind: 'set', name: `ended${family}`, key: 'connection', family, isInterval: false, isTimed: true, elements: new Set() }
}

function chain(name: string, hook: NftHook['hook']): NftChain {
  // The RST that the host sends in the name of the other side must get out, and in again to a program of its own; it is related to what it
  // answers.
  const notOwn = hook !== 'forward' ? ([{ on: 'ct-state', value: ['related'], negate: true }] as const) : []
  const rules = FAMILIES.flatMap((family): readonly NftRule[] => {
    const gone = { on: 'connection', set: TOMBSTONE_SETS[family].name, family, refreshMs: TOMBSTONE_MS } as const
    return [
      { matches: [...notOwn, { on: 'protocol', value: TCP }, gone], verdict: { do: 'reject', by: 'reset' }, isCounted: true },
      { matches: [...notOwn, { on: 'protocol', value: TCP, negate: true }, gone], verdict: { do: 'drop' }, isCounted: true },
    ]
  })
  return { kind: 'chain', name, hook: { type: 'filter', hook, priority: PRIORITY }, rules }
}
