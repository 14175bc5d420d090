import { writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { describeError, MargayError } from '../../errors.ts'
import type { CheckResult } from '../../ipam/check.ts'
import type { CheckedAllocation, Finding, FindingKind } from '../../ipam/findings.ts'
import { formatReport } from '../../ipam/report.ts'
import { getResource } from '../../store/resource-store.ts'
import type { Context } from '../context.ts'
import { renderTable } from '../format.ts'
import { addStoreOptions } from '../options.ts'
import { withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay ipam check
  margay ipam check --show-all-ips
  margay ipam check -o report.json && margay ipam release --from-report report.json`

interface CheckOptions {
  readonly output?: string
  readonly showAllIps?: true
  readonly showProblemIps?: true
}

/** `margay ipam check`: who uses addresses, compared with what is allocated. */
export function defineIpamCheck(command: Command, context: Context): void {
  command
    .description('find addresses that are leaked or missing, and records that contradict each other')
    .option('-o, --output <file>', 'also write a report, for "ipam release --from-report"')
    .option('--show-all-ips', 'also show each address that is allocated, and who uses it')
    .option('--show-problem-ips', 'show what is wrong with each; margay always does')
    // calicoctl lists Kubernetes' services with it.
    .addOption(new Option('--kubeconfig <file>', 'not used').hideHelp())
  addStoreOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const options = command.opts<CheckOptions>()
      const allocations: CheckedAllocation[] = []
      await withSession(command, context, async ({ store, ipam }) => {
        const result = await ipam.check(context.signal, (allocation) => allocations.push(allocation))
        const cluster = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, context.signal)
        context.out(renderCheck(result, allocations, { ...options, isBrief: context.program === 'calicoctl' }))
        if (options.output !== undefined)
          writeReport(options.output, formatReport({ version: context.version, cluster, result, allocations }))
      })
    })
}

function renderCheck(
  { counts, findings, revision }: CheckResult,
  allocations: readonly CheckedAllocation[],
  options: CheckOptions & { readonly isBrief: boolean },
): string {
  const looked = `${counts.blocks} blocks with ${counts.allocations} allocations, ${counts.pools} pools, ${counts.nodes} nodes`
  const parts = [
    'Checking IPAM for inconsistencies...\n',
    `Checked ${looked}, ${counts.users} addresses in use, ${counts.affinities} affinities, ${counts.handles} handles at revision ${revision}.\n`,
  ]
  if (options.showAllIps)
    parts.push(allocations.length === 0 ? '' : `\n${renderTable(['IP', 'NODE', 'HANDLE', 'USED BY'], allocations.map(rowOf))}`)
  const isShown = !options.isBrief || options.showAllIps || options.showProblemIps
  if (isShown && findings.length > 0)
    parts.push(`\n${renderTable(['PROBLEM', 'SUBJECT', 'COLLECTED BY', 'REASON'], findings.map(problemRow))}`)
  return `${parts.join('')}\n${SUMMARY.map((line) => summarize(line, findings, counts)).join('')}Check complete; found ${findings.length} problems.\n`
}

function rowOf({ ip, node, handleId, users, isInUse }: CheckedAllocation): readonly string[] {
  return [ip, node ?? '-', handleId ?? '-', isInUse ? users.join(', ') || '-' : 'nothing']
}

function problemRow({ kind, subject, reason, collector }: Finding): readonly string[] {
  const by = collector.by === 'host' ? `node ${collector.node}` : collector.by
  return [kind, subject, by, reason]
}

/** What calicoctl counts, in its words; what it does not look for is counted together. */
const SUMMARY: readonly (readonly [kinds: readonly FindingKind[], text: string])[] = [
  [['leaked-address'], 'IPs that are allocated in IPAM but not actually in use'],
  [['outside-address'], 'in-use IPs that are not in active IP pools'],
  [['missing-address'], 'in-use IPs that are in active IP pools but have no corresponding IPAM allocation'],
  [['foreign-address', 'shared-address'], 'in-use IPs that are allocated to another node, or used more than once'],
  [['empty-handle'], 'handles with no matching IPs'],
  [['missing-handle'], 'handles mentioned in blocks with no matching handle resource'],
  [['miscounted-handle'], 'handles that count other IPs than the blocks'],
  [
    ['invalid-block', 'overlapping-block', 'idle-block', 'orphan-block', 'stale-block'],
    "blocks that contradict themselves, overlap, are nobody's, or whose pool or node is gone",
  ],
  [['stale-affinity', 'missing-affinity'], 'affinities that do not fit their block'],
  [['unreadable'], 'records that cannot be read'],
]

function summarize([kinds, text]: (typeof SUMMARY)[number], findings: readonly Finding[], { handles }: CheckResult['counts']): string {
  const found = findings.filter(({ kind }) => kinds.includes(kind)).length
  const rest = kinds.includes('empty-handle') ? ` (and ${handles - found} handles with matches)` : ''
  return `Found ${found} ${text}${rest}.\n`
}

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (cause) {
    throw new MargayError('file', `the report could not be written to ${JSON.stringify(file)}: ${describeError(cause)}`)
  }
}
