import { type ForeignChain, type ForeignMatch, type ForeignRule, type ForeignRuleset, matchesOf, verdictOf } from './foreign-ruleset.ts'

/** A packet that this host must let through, as far as it is known; what is not known may be anything. */
export interface NeededPacket {
  /** In words: `what workloads send`. */
  readonly about: string
  readonly hook: 'forward' | 'input'
  readonly known: Readonly<Record<string, string>>
}

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
        const cure = cureOf(ruleset, base, packet)
        return [
          { about: packet.about, hook: packet.hook, family, table, chain: 'chain' in found ? found.chain : base.name, ...handle, cure },
        ]
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

/** What whoever made the table reads; for others a rule before all of theirs. */
function cureOf({ chains }: ForeignRuleset, base: ForeignChain, packet: NeededPacket): string {
  const { family, table } = base
  const has = (name: RegExp) => chains.some((chain) => chain.family === family && chain.table === table && name.test(chain.name))
  const [received, sent, port] = [packet.known['iifname'], packet.known['oifname'], packet.known['udp dport']]
  const isWorkload = (name: string | undefined) => name?.startsWith('mgy') === true
  const program = family === 'ip6' ? 'ip6tables' : 'iptables'
  const side = isWorkload(received) ? '-i mgy+' : '-o mgy+'
  if (packet.hook === 'forward' && has(/^DOCKER-USER$/)) return `${program} -I DOCKER-USER ${side} -j ACCEPT`
  if (table === 'firewalld' && packet.hook === 'forward')
    return 'firewall-cmd --permanent --zone=trusted --add-interface=mgy+ --add-interface=margay.vxlan --add-interface=margay.vxlan6 && firewall-cmd --reload'
  if (table === 'firewalld') return `firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload`
  if (has(/^ufw6?-/) && packet.hook === 'input') return `ufw allow proto udp to any port ${port}`
  if (has(/^ufw6?-/)) {
    const [file, chain] = family === 'ip6' ? ['before6.rules', 'ufw6-before-forward'] : ['before.rules', 'ufw-before-forward']
    return `add "-A ${chain} ${side} -j ACCEPT" before COMMIT in /etc/ufw/${file}, then ufw reload`
  }
  const match =
    packet.hook === 'input'
      ? `udp dport ${port}`
      : isWorkload(received)
        ? 'iifname "mgy*"'
        : `oifname "${isWorkload(sent) ? 'mgy*' : sent}"`
  return `nft insert rule ${family} ${table} ${base.name} ${match} accept`
}

/** What a host with workloads, and with tunnels of these ports, needs of others' rules. */
export function neededPackets({ hasWorkloads, uplink, tunnelPort }: Needs): readonly NeededPacket[] {
  const state = { 'ct state': 'new' }
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
            known: { 'ct state': 'untracked', iifname: uplink, 'udp dport': String(tunnelPort), l4proto: 'udp', 'ip protocol': 'udp' },
          },
        ]),
  ]
}

/** What this host does, as far as others' rules can cut it. */
export interface Needs {
  readonly hasWorkloads: boolean
  readonly uplink: string
  readonly tunnelPort: number | undefined
}
