import { cureOf, type NeededPacket } from './foreign-cures.ts'
import { type ForeignChain, type ForeignMatch, type ForeignRule, type ForeignRuleset, matchesOf, verdictOf } from './foreign-ruleset.ts'

/** A rule of somebody else's that drops what is needed. */
export interface ForeignDrop {
  readonly about: string
  readonly hook: 'forward' | 'input'
  readonly family: string
  readonly table: string
  readonly chain: string
  /** Absent: the policy of the chain does it. */
  readonly handle?: number
  /** Commands or files by which it is let through. */
  readonly cure: string
}

/** More jumps than nft itself permits. */
const MOST_DEPTH = 16

/**
 * Finds what rules of others drop of what is needed, whatever it is otherwise: a rule that looks at what is not known of a packet is passed
 * over, so that only what is sure is named. A verdict of ours does not help: each base chain decides for itself.
 */
export function findForeignDrops(ruleset: ForeignRuleset, packets: readonly NeededPacket[]): readonly ForeignDrop[] {
  return packets.flatMap((packet) =>
    ruleset.chains
      .filter(({ hook, type }) => hook === packet.hook && type === 'filter')
      .flatMap((base) => {
        const found = walkBase(ruleset, base, packet)
        if (found === undefined) return []
        const { family, table } = base
        const handle = 'handle' in found ? { handle: found.handle } : {}
        const chain = 'chain' in found ? found.chain : base.name
        const { about, hook } = packet
        return [{ about, hook, family, table, chain, ...handle, cure: cureOf(ruleset, base, chain, packet) }]
      }),
  )
}

/** A drop in words, with what to do. */
export function describeForeignDrop({ about, family, table, chain, handle, cure }: ForeignDrop): string {
  const what = handle === undefined ? `the policy of chain ${chain}` : `rule ${handle} of chain ${chain}`
  return `${what} in table ${family} ${table}, which is not margay's, drops ${about}, whatever policies allow: ${cure}`
}

function walkBase(ruleset: ForeignRuleset, base: ForeignChain, packet: NeededPacket): ForeignRule | ForeignChain | undefined {
  const end = walk(ruleset, base, packet, 0)
  if (end === 'accept') return undefined
  if (end !== 'end') return end
  return base.policy === 'drop' ? base : undefined
}

type End = ForeignRule | 'accept' | 'end'

function walk(ruleset: ForeignRuleset, chain: ForeignChain, packet: NeededPacket, depth: number): End {
  for (const rule of ruleset.rules) {
    if (rule.family !== chain.family || rule.table !== chain.table || rule.chain !== chain.name) continue
    const verdict = verdictOf(rule)
    if (verdict === undefined || !matchesOf(rule).every((match) => isSure(match, packet, chain.family))) continue
    if (verdict.do === 'accept' || verdict.do === 'queue') return 'accept'
    if (verdict.do === 'drop' || verdict.do === 'reject') return rule
    if (verdict.do === 'return') return 'end'
    const target = ruleset.chains.find(
      ({ family, table, name }) => family === chain.family && table === chain.table && name === verdict.target,
    )
    const end = target === undefined || depth > MOST_DEPTH ? 'end' : walk(ruleset, target, packet, depth + 1)
    if (end !== 'end' || verdict.do === 'goto') return end
  }
  return 'end'
}

/** Whether the packet surely matches. */
function isSure({ on, isNegated, values }: ForeignMatch, { known }: NeededPacket, family: string): boolean {
  if (values === undefined) return false
  if (on === 'nfproto' || on === 'protocol') return !isNegated && values.length > 1 && family === 'inet'
  const value = known[on]
  if (value === undefined) return false
  const isIn = values.some((one) => (typeof one === 'string' ? fits(one, value) : Number(value) >= one.low && Number(value) <= one.high))
  return isIn !== isNegated
}

function fits(pattern: string, value: string): boolean {
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value
}

/** What a host with workloads, and with tunnels and programs on these ports, needs of others' rules. */
export function neededPackets({ hasWorkloads, uplink, tunnelPort, taken = [] }: Needs): readonly NeededPacket[] {
  const state = { 'ct state': 'new' }
  const toPort = (protocol: 'tcp' | 'udp', port: number) => ({
    ...{ iifname: uplink, [`${protocol} dport`]: String(port), l4proto: protocol, 'ip protocol': protocol, 'fib daddr type': 'local' },
  })
  const own = 'mgy00000000000'
  return [
    ...(hasWorkloads
      ? [
          { about: 'what workloads send', hook: 'forward' as const, known: { ...state, iifname: own, oifname: uplink } },
          { about: 'what is sent to workloads', hook: 'forward' as const, known: { ...state, iifname: uplink, oifname: own } },
        ]
      : []),
    ...(tunnelPort === undefined
      ? []
      : [
          {
            about: `packets of tunnels from other hosts (UDP ${tunnelPort})`,
            hook: 'input' as const,
            known: { 'ct state': 'untracked', ...toPort('udp', tunnelPort) },
          },
        ]),
    ...taken.map(({ about, protocol, port }) => ({ about, hook: 'input' as const, known: { ...state, ...toPort(protocol, port) } })),
  ]
}

/** What this host does, as far as others' rules can cut it. */
export interface Needs {
  readonly hasWorkloads: boolean
  readonly uplink: string
  readonly tunnelPort: number | undefined
  /** Ports on which programs of this host must be reached, with what that is in words. */
  readonly taken?: readonly { readonly about: string; readonly protocol: 'tcp' | 'udp'; readonly port: number }[]
}
