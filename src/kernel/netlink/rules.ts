import { KernelError } from '../../errors.ts'
import { FAMILIES, type Family } from '../../net/ip.ts'
import { keyOf, RULE_PRIORITIES, type Rule } from '../objects.ts'
import type { Delta } from '../table.ts'
import { AF_INET, AF_INET6, ERRNO, RTM, RULE_BYTES } from './constants.ts'
import type { EntryTable, NetlinkContext } from './entry-table.ts'
import { Held } from './held.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_EXCL, readAttributes, readNumber } from './message.ts'
import type { Operation } from './rtnetlink.ts'

const FRA = { PRIORITY: 6, FWMARK: 10, TABLE: 15, FWMASK: 16, PROTOCOL: 21, SUPPRESS_IFGROUP: 13, SUPPRESS_PREFIXLEN: 14 } as const
const FR_ACT_TO_TBL = 1
const FIB_RULE_INVERT = 2
/** The attributes that a rule of ours may have; one with any other is none that we could have made. */
const KNOWN = new Set<number>([FRA.PRIORITY, FRA.FWMARK, FRA.TABLE, FRA.FWMASK, FRA.PROTOCOL, FRA.SUPPRESS_IFGROUP, FRA.SUPPRESS_PREFIXLEN])
/** "Not set", in the two suppressing attributes. */
const UNSET = 0xffff_ffff

/** A rule as the kernel has it, with what it takes to remove exactly it. */
interface RuleInfo {
  readonly rule: Rule
  /** The message without its header: sent back as it is, it names this rule and no other. */
  readonly payload: Buffer
}

/** Policy routing rules with a priority of ours. They are few, so each commit begins with a look at the kernel. */
export function createRuleTable(context: NetlinkContext): EntryTable<Rule> {
  const held = new Held<Rule>(isSameRule)
  return {
    matches: isSameRule,
    async list(signal) {
      context.sync()
      held.beginList()
      const found = new Map<string, Rule>()
      for (const { rule } of await listRules(context, signal)) {
        const key = keyOf.rules(rule)
        // Two rules of one priority equal nothing that is wanted: the next put leaves one.
        found.set(key, found.has(key) ? { ...rule, table: 0 } : rule)
      }
      held.endList(found)
      return found
    },
    async commit(delta, signal) {
      context.sync()
      for (const [key, rule] of delta.put) held.learn(key, rule)
      for (const key of delta.remove.keys()) held.learn(key, undefined)
      const refused = refuseForeign(delta)
      const failures = await context.netlink.submit(operationsFor(delta, await listRules(context, signal), refused), signal)
      for (const key of failures.keys()) held.learn(key, undefined)
      for (const [key, error] of refused) failures.set(key, error)
      return failures
    },
    forgetLink() {},
    notice(message) {
      const info = readRule(message)
      if (info === undefined) return undefined
      const key = keyOf.rules(info.rule)
      const value = message.type === RTM.NEWRULE ? info.rule : undefined
      return held.learn(key, value) ? { key, value } : undefined
    },
  }
}

/** The new rule comes before the old one of its priority goes, so there is no moment without. */
function operationsFor(delta: Delta<Rule>, existing: readonly RuleInfo[], refused: ReadonlyMap<string, KernelError>): Operation[] {
  const operations: Operation[] = []
  for (const [key, rule] of delta.put) {
    if (refused.has(key)) continue
    const same = existing.find((info) => isSameRule(info.rule, rule))
    if (same === undefined) operations.push(putOperation(key, rule))
    for (const info of existing) if (info !== same && keyOf.rules(info.rule) === key) operations.push(removeOperation(key, info))
  }
  for (const key of delta.remove.keys()) {
    for (const info of existing) if (keyOf.rules(info.rule) === key) operations.push(removeOperation(key, info))
  }
  return operations
}

function putOperation(key: string, rule: Rule): Operation {
  return {
    key,
    describe: () => `put the rule ${rule.priority} for table ${rule.table} (IPv${rule.family})`,
    tolerates: [ERRNO.EEXIST],
    write: (writer, sequence) => writeRule(writer, sequence, rule),
  }
}

function removeOperation(key: string, { rule, payload }: RuleInfo): Operation {
  return {
    key,
    describe: () => `remove the rule ${rule.priority} (IPv${rule.family})`,
    tolerates: [ERRNO.ENOENT],
    write(writer, sequence) {
      const { buffer, at } = writer.begin(RTM.DELRULE, 0, sequence, payload.length)
      payload.copy(buffer, at)
      writer.finish()
    },
  }
}

function refuseForeign(delta: Delta<Rule>): Map<string, KernelError> {
  const { first, last } = RULE_PRIORITIES
  const wrong = [...delta.put].filter(([, { priority }]) => priority < first || priority > last)
  return new Map(
    wrong.map(([key, { priority }]) => [
      key,
      new KernelError(`the rule priority ${priority} is not ours: ${first} to ${last}`, { errno: ERRNO.EINVAL }),
    ]),
  )
}

async function listRules({ netlink }: NetlinkContext, signal: AbortSignal): Promise<RuleInfo[]> {
  const found: RuleInfo[] = []
  for (const family of FAMILIES) {
    const write = (writer: MessageWriter, flags: number) => {
      const { buffer, at } = writer.begin(RTM.GETRULE, flags, 0, RULE_BYTES)
      buffer[at] = family === 4 ? AF_INET : AF_INET6
      writer.finish()
    }
    for (const info of await netlink.dump(write, readRule, signal)) found.push(info)
  }
  return found
}

function isSameRule(a: Rule, b: Rule): boolean {
  const isSameMark =
    a.mark === undefined || b.mark === undefined
      ? a.mark === b.mark
      : a.mark.value === b.mark.value && a.mark.mask === b.mark.mask && a.mark.negate === b.mark.negate
  return a.family === b.family && a.priority === b.priority && a.table === b.table && isSameMark
}

function writeRule(writer: MessageWriter, sequence: number, rule: Rule): void {
  const { buffer, at } = writer.begin(RTM.NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sequence, RULE_BYTES)
  buffer[at] = rule.family === 4 ? AF_INET : AF_INET6
  buffer[at + 7] = FR_ACT_TO_TBL
  if (rule.mark?.negate) buffer.writeUInt32LE(FIB_RULE_INVERT, at + 8)
  writer.u32(FRA.PRIORITY, rule.priority)
  writer.u32(FRA.TABLE, rule.table)
  if (rule.mark !== undefined) {
    writer.u32(FRA.FWMARK, rule.mark.value)
    writer.u32(FRA.FWMASK, rule.mark.mask)
  }
  writer.finish()
}

/** A rule in our range of priorities; one that a Rule can't say comes with table 0, which equals nothing that is wanted. */
function readRule(message: Message): RuleInfo | undefined {
  const { payload } = message
  const family: Family | undefined = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 6 : undefined
  if ((message.type !== RTM.NEWRULE && message.type !== RTM.DELRULE) || family === undefined) return undefined
  const attributes = readAttributes(payload, RULE_BYTES)
  const priority = readNumber(attributes.get(FRA.PRIORITY)) ?? 0
  if (priority < RULE_PRIORITIES.first || priority > RULE_PRIORITIES.last) return undefined
  const isSuppressing = [FRA.SUPPRESS_IFGROUP, FRA.SUPPRESS_PREFIXLEN].some((type) => (readNumber(attributes.get(type)) ?? UNSET) !== UNSET)
  const isKnown = [...attributes.keys()].every((type) => KNOWN.has(type)) && !isSuppressing && payload[7] === FR_ACT_TO_TBL
  const table = readNumber(attributes.get(FRA.TABLE)) ?? payload[4] ?? 0
  const value = readNumber(attributes.get(FRA.FWMARK))
  const mask = readNumber(attributes.get(FRA.FWMASK)) ?? UNSET
  const negate = (payload.readUInt32LE(8) & FIB_RULE_INVERT) !== 0
  const rule = { family, priority, table: isKnown ? table : 0, ...(value !== undefined && { mark: { value, mask, negate } }) }
  return { rule, payload: Buffer.from(payload) }
}
