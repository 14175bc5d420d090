import type { Command } from 'commander'
import type { RuleCount, StatsReport } from '../../model/own/flows.ts'
import { apiFor } from '../api.ts'
import { type AddCommand, type Context, UsageError } from '../context.ts'
import { renderJson, renderTable } from '../format.ts'
import { addApiOptions, addOutputOption } from '../options.ts'

const EXAMPLES = `
Examples:
  margay policy stats
  margay policy stats shop/only-web -o wide
  margay policy stats -o json | jq '.rules[] | select(.isStaged and .packets > 0)'

Counted are packets of new connections on this host, in the order in which rules are asked; established ones pass before the rules.
Rules of staged policies count what they would have decided.`

/** `margay policy stats`. */
export const addPolicyCommand: AddCommand = (parent, context) => {
  const policy = parent.command('policy').description('what policies do on this host')
  const stats = policy
    .command('stats')
    .description('show how many packets each rule has decided about on this host')
    .argument('[name]', 'only of this policy or profile: NAME or NAMESPACE/NAME')
  addOutputOption(addApiOptions(stats), ['text', 'wide', 'json'])
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined) => show(name, stats, context))
}

async function show(name: string | undefined, command: Command, context: Context): Promise<void> {
  const { output } = command.opts<{ output: string }>()
  const report = await apiFor(command, context).call<StatsReport>({ path: '/v1/policy/stats' })
  const rules = name === undefined ? report.rules : report.rules.filter((rule) => isOf(rule, name))
  if (name !== undefined && rules.length === 0)
    throw new UsageError(
      `no endpoint of this host (${report.node}) is under a policy or profile ${JSON.stringify(name)}: "margay get gnp,np -A" names all`,
    )
  context.out(output === 'json' ? renderJson({ ...report, rules }) : renderStats(rules, output === 'wide'))
}

function isOf({ decider }: RuleCount, wanted: string): boolean {
  return decider.name === wanted || (decider.namespace !== undefined && `${decider.namespace}/${decider.name}` === wanted)
}

/** A row a rule. */
export function renderStats(rules: readonly RuleCount[], isWide: boolean): string {
  if (rules.length === 0) return 'No rules.\n'
  const header = ['TIER', ...(isWide ? ['KIND'] : []), 'POLICY', 'DIRECTION', 'RULE', 'ACTION', 'PACKETS', 'BYTES']
  return renderTable(
    header,
    rules.map(({ direction, decider, isStaged, packets, bytes }) => [
      decider.tier ?? '-',
      ...(isWide ? [decider.kind ?? '-'] : []),
      nameOf(decider),
      direction,
      decider.rule === undefined ? '-' : String(decider.rule),
      isStaged ? `${decider.action} (staged)` : decider.action,
      String(packets),
      String(bytes),
    ]),
  )
}

function nameOf({ by, namespace, name }: RuleCount['decider']): string {
  if (by === 'tier') return '(end of tier)'
  if (by === 'end') return '(nothing allows it)'
  if (by === 'endpoint-to-host') return '(endpoint to host)'
  if (by === 'missing-profile') return `${name} (profile, does not exist)`
  if (by === 'closed' && name === undefined) return "(closed: what decides can't be read)"
  const full = namespace === undefined ? `${name}` : `${namespace}/${name}`
  if (by === 'closed') return `${full} (can't be read)`
  return by === 'profile' ? `${full} (profile)` : full
}
