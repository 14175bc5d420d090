import type { ForeignChain, ForeignRuleset } from './foreign-ruleset.ts'

/** A packet that this host must let through, as far as it is known; what is not known may be anything. */
export interface NeededPacket {
  /** In words: `what workloads send`. */
  readonly about: string
  readonly hook: 'forward' | 'input'
  readonly known: Readonly<Record<string, string>>
}

/** Chains in which zones of firewalld decide: `filter_IN_public`, `filter_IN_public_deny`. */
const ZONE_CHAIN = /^filter_IN_(.+?)(?:_(?:pre|log|deny|allow|post))?$/

/**
 * A zone of its own: what comes from workloads and tunnels is let through by its target. What leads to them comes from other zones, and
 * these ask the policy first.
 */
const FIREWALLD_FORWARD = [
  '--permanent --new-zone=margay',
  '--permanent --zone=margay --set-target=ACCEPT',
  '--permanent --zone=margay --add-interface=mgy+ --add-interface=margay.vxlan --add-interface=margay.vxlan6',
  '--permanent --new-policy=to-margay',
  '--permanent --policy=to-margay --set-target=ACCEPT',
  '--permanent --policy=to-margay --add-ingress-zone=ANY',
  '--permanent --policy=to-margay --add-egress-zone=margay',
  '--reload',
]
  .map((words) => `firewall-cmd ${words}`)
  .join(' && ')

/** What lets a packet through that a chain below this base chain drops: in the words of whoever made the table; for others a rule before all of theirs. */
export function cureOf({ chains }: ForeignRuleset, base: ForeignChain, chain: string, packet: NeededPacket): string {
  const { family, table } = base
  const has = (name: RegExp) => chains.some((one) => one.family === family && one.table === table && name.test(one.name))
  const [received, sent] = [packet.known['iifname'], packet.known['oifname']]
  const isWorkload = (name: string | undefined) => name?.startsWith('mgy') === true
  if (packet.hook === 'input') {
    const { protocol, port } = portOf(packet)
    const zone = ZONE_CHAIN.exec(chain)?.[1]
    if (table === 'firewalld')
      return `firewall-cmd --permanent ${zone === undefined ? '' : `--zone=${zone} `}--add-port=${port}/${protocol} && firewall-cmd --reload`
    if (has(/^ufw6?-/)) return `ufw allow proto ${protocol} to any port ${port}`
    return `nft insert rule ${family} ${table} ${base.name} ${protocol} dport ${port} accept`
  }
  const side = isWorkload(received) ? 'in' : 'out'
  const program = family === 'ip6' ? 'ip6tables' : 'iptables'
  if (has(/^DOCKER-USER$/)) return `${program} -I DOCKER-USER -${side === 'in' ? 'i' : 'o'} mgy+ -j ACCEPT`
  if (table === 'firewalld') return FIREWALLD_FORWARD
  if (has(/^ufw6?-/)) return `ufw route allow ${side} on mgy+`
  const match = isWorkload(received) ? 'iifname "mgy*"' : `oifname "${isWorkload(sent) ? 'mgy*' : sent}"`
  return `nft insert rule ${family} ${table} ${base.name} ${match} accept`
}

function portOf({ known }: NeededPacket): { readonly protocol: string; readonly port: string | undefined } {
  return known['tcp dport'] === undefined ? { protocol: 'udp', port: known['udp dport'] } : { protocol: 'tcp', port: known['tcp dport'] }
}
