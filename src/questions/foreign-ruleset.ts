import * as z from 'zod'

/** Rules of other programs, as `nft -j list table` tells them (libnftables-json(5)); what is not needed is left out. */
export interface ForeignRuleset {
  readonly chains: readonly ForeignChain[]
  readonly rules: readonly ForeignRule[]
}

/** A chain; with a hook it is one that packets enter by themselves. */
export interface ForeignChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly type?: string | undefined
  readonly hook?: string | undefined
  readonly prio?: number | undefined
  readonly policy?: string | undefined
}

/** A rule; its expressions are what nft makes of them. */
export interface ForeignRule {
  readonly family: string
  readonly table: string
  readonly chain: string
  readonly handle: number
  readonly expr: readonly Readonly<Record<string, unknown>>[]
}

const place = { family: z.string(), table: z.string() }
const chainSchema = z.object({
  ...place,
  name: z.string(),
  type: z.string().optional(),
  hook: z.string().optional(),
  prio: z.number().optional(),
  policy: z.string().optional(),
})
const ruleSchema = z.object({ ...place, chain: z.string(), handle: z.number(), expr: z.array(z.record(z.string(), z.unknown())) })
const itemSchema = z.looseObject({ chain: z.unknown(), rule: z.unknown() }).partial()
const listSchema = z.object({ nftables: z.array(itemSchema) })
const tableSchema = z.object({ nftables: z.array(z.looseObject({ table: z.object({ family: z.string(), name: z.string() }).optional() })) })

/** The rules in what nft printed; items that are none, or that this version does not know, are passed over. */
export function readForeignRules(printed: readonly unknown[]): ForeignRuleset {
  const items = printed.flatMap((one) => listSchema.safeParse(one).data?.nftables ?? [])
  return {
    chains: items.flatMap(({ chain }) => chainSchema.safeParse(chain).data ?? []),
    rules: items.flatMap(({ rule }) => ruleSchema.safeParse(rule).data ?? []),
  }
}

/** The tables that nft lists. */
export function readTables(printed: unknown): readonly { readonly family: string; readonly name: string }[] {
  return (tableSchema.safeParse(printed).data?.nftables ?? []).flatMap(({ table }) => table ?? [])
}

/** A rule's match: what is looked at, and with what it is compared. */
export interface ForeignMatch {
  /** `iifname`, `oifname`, `ct state`, `tcp dport`, `ip daddr`, …; empty for what is not understood. */
  readonly on: string
  readonly isNegated: boolean
  /** Texts and numbers of which one must be it; undefined for what is not understood (maps, named sets). */
  readonly values: readonly ForeignValue[] | undefined
}

export type ForeignValue = string | { readonly low: number; readonly high: number }

/** The matches of a rule. What is no match and no verdict (counters, logs, marks) matches everything. */
export function matchesOf({ expr }: ForeignRule): readonly ForeignMatch[] {
  return expr.flatMap((one) => {
    if (isRecord(one['xt']) && one['xt']['type'] === 'match') return [{ on: '', isNegated: false, values: undefined }]
    const match = one['match']
    if (!isRecord(match)) return 'limit' in one ? [{ on: '', isNegated: false, values: undefined }] : []
    return [{ on: nameOf(match['left']), isNegated: match['op'] === '!=', values: valuesOf(match['right']) }]
  })
}

function nameOf(left: unknown): string {
  if (!isRecord(left)) return ''
  const { meta, ct, payload, fib } = left
  if (isRecord(meta)) return String(meta['key'])
  if (isRecord(ct)) return `ct ${ct['key']}`
  if (isRecord(payload)) return `${payload['protocol']} ${payload['field']}`
  return isRecord(fib) ? ['fib', ...[fib['flags']].flat(), fib['result']].join(' ') : ''
}

function valuesOf(right: unknown): readonly ForeignValue[] | undefined {
  if (typeof right === 'string' && right.startsWith('@')) return undefined
  if (typeof right === 'string' || typeof right === 'number') return [String(right)]
  if (Array.isArray(right)) return joined(right)
  if (!isRecord(right)) return undefined
  if (Array.isArray(right['set'])) return joined(right['set'])
  const range = right['range']
  if (Array.isArray(range)) return [{ low: Number(range[0]), high: Number(range[1]) }]
  const prefix = right['prefix']
  return isRecord(prefix) ? [`${prefix['addr']}/${prefix['len']}`] : undefined
}

function joined(items: readonly unknown[]): readonly ForeignValue[] | undefined {
  const all = items.map(valuesOf)
  return all.every((values) => values !== undefined) ? all.flat() : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Where destination NAT of others sends connections. */
export interface Published {
  readonly protocol: 6 | 17
  readonly low: number
  readonly high: number
  /** The address of the host to which it must come; absent: any. */
  readonly address?: string
  /** Absent where the rule does not say it in words of nft. */
  readonly to?: { readonly address: string; readonly port?: number }
  readonly rule: string
}

/** Ports that rules of others send elsewhere (Docker's `-p`). */
export function findPublished({ rules }: ForeignRuleset): readonly Published[] {
  return rules.flatMap((rule): Published[] => {
    const target = dnatOf(rule)
    if (target === undefined) return []
    const matches = matchesOf(rule)
    const address = matches.find(({ on, isNegated }) => (on === 'ip daddr' || on === 'ip6 daddr') && !isNegated)?.values?.[0]
    return matches.flatMap(({ on, isNegated, values }): Published[] => {
      const protocol = on === 'tcp dport' ? 6 : on === 'udp dport' ? 17 : undefined
      if (protocol === undefined || isNegated) return []
      return (values ?? []).map((value) => ({
        protocol,
        ...(typeof value === 'string' ? { low: Number(value), high: Number(value) } : value),
        ...(typeof address === 'string' && !address.includes('/') ? { address } : {}),
        ...(target.to === undefined ? {} : { to: target.to }),
        rule: `table ${rule.family} ${rule.table}, chain ${rule.chain}, handle ${rule.handle}`,
      }))
    })
  })
}

function dnatOf({ expr }: ForeignRule): { readonly to?: Published['to'] } | undefined {
  for (const one of expr) {
    const [dnat, xt] = [one['dnat'], one['xt']]
    if (isRecord(xt) && xt['type'] === 'target' && xt['name'] === 'DNAT') return {}
    if (!isRecord(dnat)) continue
    const [address, port] = [dnat['addr'], dnat['port']]
    if (typeof address !== 'string') return {}
    return { to: { address, ...(typeof port === 'number' ? { port } : {}) } }
  }
  return undefined
}

/** What a rule does with what it matches: `jump` and `goto` name a chain. */
export function verdictOf({ expr }: ForeignRule): { readonly do: string; readonly target?: string } | undefined {
  for (const one of expr) {
    for (const verdict of ['accept', 'drop', 'reject', 'return', 'queue']) if (verdict in one) return { do: verdict }
    for (const verdict of ['jump', 'goto']) {
      const to = one[verdict]
      if (isRecord(to)) return { do: verdict, target: String(to['target']) }
    }
    if (isRecord(one['xt']) && one['xt']['type'] === 'target') {
      const name = String(one['xt']['name'])
      if (name === 'REJECT' || name === 'DROP') return { do: name.toLowerCase() }
    }
  }
  return undefined
}
