import type { BlockUsage, BorrowedAddress, PoolUsage, Usage } from '../../ipam/usage.ts'
import { isIp, parseIp } from '../../net/ip.ts'
import { type AddCommand, type Program, UsageError } from '../context.ts'
import { renderJson, renderTable } from '../format.ts'
import { propertyName, renderAddress, renderBoxed, renderCount } from '../ipam-format.ts'
import { addOutputOption, addStoreOptions } from '../options.ts'
import { withSession } from '../session.ts'
import { defineIpamCheck } from './ipam-check.ts'
import { defineIpamConfigure } from './ipam-configure.ts'
import { defineIpamRelease } from './ipam-release.ts'
import { defineIpamSplit } from './ipam-split.ts'

const EXAMPLES = `
Examples:
  margay ipam show
  margay ipam show --show-blocks
  margay ipam show --ip 10.65.0.9
  margay ipam show --show-borrowed -o json`

interface ShowOptions {
  readonly showBlocks?: true
  readonly showBorrowed?: true
  readonly showConfiguration?: true
  readonly ip?: string
  readonly output: string
}

/** `margay ipam show|check|release|configure|split`. */
export const addIpamCommand: AddCommand = (parent, context, outcome) => {
  const ipam = parent.command('ipam').description('addresses: pools, blocks, and who has what')
  defineIpamCheck(ipam.command('check'), context)
  defineIpamRelease(ipam.command('release'), context, outcome)
  defineIpamConfigure(ipam.command('configure'), context)
  defineIpamSplit(ipam.command('split'), context)
  const show = ipam.command('show').description('show how much of each pool is used, or who has an address')
  show
    .option('--show-blocks', 'also each block')
    .option('--show-borrowed', 'only addresses that a host has from a block of another')
    .option('--show-configuration', 'only the settings of address management')
    .option('--ip <address>', 'only this address')
  addOutputOption(addStoreOptions(show), ['text', 'json'])
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const options = show.opts<ShowOptions>()
      checkOptions(options)
      const text = await withSession(show, context, async (session) => {
        if (options.ip === undefined) return showUsage(await session.ipam.usage(context.signal), options, context.program)
        const use = await session.ipam.lookUp(parseIp(options.ip), context.signal)
        return options.output === 'json' ? renderJson(use) : renderAddress(use)
      })
      context.out(text)
    })
}

function checkOptions({ ip, showBlocks, showBorrowed, showConfiguration }: ShowOptions): void {
  const chosen = [ip, showBlocks, showBorrowed, showConfiguration].filter((option) => option !== undefined)
  if (chosen.length > 1) throw new UsageError('give at most one of --ip, --show-blocks, --show-borrowed and --show-configuration')
  if (ip !== undefined && !isIp(ip)) throw new UsageError(`--ip ${JSON.stringify(ip)} is not an IP address, give one such as 10.65.0.9`)
}

function showUsage(usage: Usage, options: ShowOptions, program: Program): string {
  if (options.output === 'json') return renderJson(jsonUsage(usage, options))
  if (options.showBorrowed) return showBorrowed(usage.borrowed)
  if (options.showConfiguration) return showConfiguration(usage, program)
  const rows = usage.pools.flatMap((pool) => [poolRow(pool), ...(options.showBlocks ? pool.blocks.map(blockRow) : [])])
  const orphans = usage.orphans.map((block) => ['No pool', ...blockRow(block).slice(1)])
  return renderBoxed(['GROUPING', 'CIDR', 'IPS TOTAL', 'IPS IN USE', 'IPS RESERVED', 'IPS FREE'], [...rows, ...orphans])
}

function jsonUsage(usage: Usage, options: ShowOptions): unknown {
  if (options.showBorrowed) return usage.borrowed
  if (options.showConfiguration) return usage.config
  const pools = usage.pools.map(({ blocks, ...pool }) => (options.showBlocks ? { ...pool, blocks } : pool))
  return { pools, orphans: usage.orphans }
}

/** What was released and may not be given out yet is still in use. */
function poolRow({ cidr, total, used, cooling, reserved, free }: PoolUsage): readonly string[] {
  const share = (part: bigint) => renderCount(part, total)
  return ['IP Pool', cidr, renderCount(total), share(used + cooling), share(reserved), share(free)]
}

function blockRow({ cidr, total, used, cooling, free }: BlockUsage): readonly string[] {
  const share = (part: number) => renderCount(BigInt(part), BigInt(total))
  return ['Block', cidr, renderCount(BigInt(total)), share(used + cooling), share(0), share(free)]
}

function showBorrowed(borrowed: readonly BorrowedAddress[]): string {
  if (borrowed.length === 0) return 'no address is borrowed\n'
  const rows = borrowed.map(({ ip, node, block, owner, handleId, attributes }) => [
    ip,
    node,
    block,
    owner ?? '-',
    attributes['type'] ?? (attributes['pod'] === undefined ? '-' : 'workload'),
    [attributes['namespace'], attributes['workload'] ?? attributes['pod']].filter((part) => part !== undefined).join('/') ||
      (handleId ?? '-'),
  ])
  return renderBoxed(['IP', 'BORROWING-NODE', 'BLOCK', 'BLOCK OWNER', 'TYPE', 'ALLOCATED-TO'], rows)
}

function showConfiguration({ config }: Usage, program: Program): string {
  const rows = Object.entries(config)
    .filter(([, value]) => ['string', 'number', 'boolean', 'undefined'].includes(typeof value))
    .map(([key, value]) => [propertyName(key), value === undefined ? '-' : String(value)])
  return (program === 'calicoctl' ? renderBoxed : renderTable)(['PROPERTY', 'VALUE'], rows)
}
