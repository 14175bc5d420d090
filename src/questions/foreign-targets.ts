import type { ForeignRule, ForeignRuleset } from './foreign-ruleset.ts'

/** Whether rules stand in there whose JSON leaves out what they look at or where they lead: those that iptables-nft wrote. */
export function needsText({ rules }: ForeignRuleset): boolean {
  return rules.some(({ expr }) => expr.some((one) => 'xt' in one))
}

/**
 * Fills in what nft 1.0 tells of a rule of iptables-nft only in its text (`nft -a list table`), by the handle at the end of the line: where
 * destination NAT leads, and which kind of address is looked for. The rest of what JSON leaves out stays unknown.
 */
export function fillFromText(
  ruleset: ForeignRuleset,
  text: string,
  { family, table }: Pick<ForeignRule, 'family' | 'table'>,
): ForeignRuleset {
  const lines = new Map<number, string>()
  for (const line of text.split('\n')) {
    const handle = /^(.*) # handle (\d+)$/.exec(line)
    if (handle !== null) lines.set(Number(handle[2]), handle[1] ?? '')
  }
  const fill = (rule: ForeignRule): ForeignRule => {
    const line = rule.family === family && rule.table === table ? lines.get(rule.handle) : undefined
    return line === undefined ? rule : { ...rule, expr: rule.expr.map((one) => ('xt' in one ? (readXt(one['xt'], line) ?? one) : one)) }
  }
  return { ...ruleset, rules: ruleset.rules.map(fill) }
}

/** `{"type": "target", "name": "DNAT"}` in the words of nft; undefined for what is not needed. */
function readXt(xt: unknown, line: string): Readonly<Record<string, unknown>> | undefined {
  if (typeof xt !== 'object' || xt === null || !('name' in xt)) return undefined
  if (xt.name === 'DNAT') {
    const [, six, four, port] = /\bdnat to (?:\[([0-9a-f:]+)\]|([0-9.]+|[0-9a-f:]*::?[0-9a-f:]+))(?::(\d+))?(?: |$)/.exec(line) ?? []
    const addr = six ?? four
    return addr === undefined ? undefined : { dnat: { addr, ...(port === undefined ? {} : { port: Number(port) }) } }
  }
  if (xt.name !== 'addrtype') return undefined
  const [, side, negation, type] = /\bfib ([sd]addr) type (!= )?(\w+)\b/.exec(line) ?? []
  if (type === undefined) return undefined
  return { match: { op: negation === undefined ? '==' : '!=', left: { fib: { result: 'type', flags: [side] } }, right: type } }
}
