import { PROTOCOL_NUMBERS } from '../net/port.ts'
import type { ExplainedCheck, ExplainedStep } from '../policy/explain.ts'
import { isTunnelDevice } from '../questions/explain-leg.ts'
import type { ExplainedRoute } from '../routing/explain-route.ts'
import type { End } from './explain-ends.ts'
import type { ExplainedFlow, ExplainedHost } from './explain-flow.ts'
import type { FlowQuestion } from './explain-question.ts'
import { describeHeld, type HeldTrial } from './trial-records.ts'

/** What `margay explain` answers; `-o json` is this, and keeps its members from version to version. */
export interface Explanation {
  /** `hosts`: both say themselves what they do; `partly`: one does; `store`: all is computed from the store. */
  readonly basis: 'store' | 'partly' | 'hosts'
  /** The hosts that say it themselves. */
  readonly answered: readonly string[]
  /** The others that are alive, each with why it says nothing. */
  readonly silent: readonly { readonly node: string; readonly because: string }[]
  readonly revision: number
  readonly source: End
  readonly destination: End
  readonly packet: Pick<FlowQuestion, 'protocol' | 'sourcePort' | 'port' | 'icmp'>
  /** One for each IP version. */
  readonly flows: readonly ExplainedFlow[]
  /** The worst of the flows. */
  readonly verdict: ExplainedFlow['verdict']
  readonly stagedVerdict: ExplainedFlow['verdict']
  /** Hosts of this version enforce all kinds that were asked; if not, `warnings` says which they only keep. */
  readonly isEnforced: boolean
  /** What could not be read, or is not enforced. */
  readonly warnings: readonly string[]
  /** The same as long as trials run on hosts on the way. */
  readonly tried?: Pick<Explanation, 'basis' | 'answered' | 'silent' | 'flows' | 'verdict' | 'stagedVerdict'> & {
    readonly trials: readonly HeldTrial[]
  }
}

/** The worst of several verdicts. */
export function worstOf(verdicts: readonly ExplainedFlow['verdict'][]): ExplainedFlow['verdict'] {
  return (['deny', 'unreachable'] as const).find((one) => verdicts.includes(one)) ?? 'allow'
}

/** An explanation for people; the last line is the verdict. */
export function renderExplanation(explanation: Explanation): string {
  const { source, destination, flows, revision, warnings, verdict, stagedVerdict, tried } = explanation
  const head = `${renderEnd(source)} to ${renderEnd(destination)}, ${renderPacket(explanation)}\n${renderBasis(explanation)} at revision ${revision}\n`
  const notes = [...new Set(flows.flatMap(({ assumptions }) => assumptions))].map((text) => `  assumed: ${text}\n`)
  const warned = warnings.map((text) => `  warning: ${text}\n`)
  const staged = stagedVerdict === verdict ? '' : `if staged policies were enforced: ${stagedVerdict}\n`
  return [head, ...flows.map(renderFlow), '\n', ...notes, ...warned, staged, renderTried(tried), renderVerdict(explanation)].join('')
}

function renderTried(tried: Explanation['tried']): string {
  if (tried === undefined) return ''
  const { trials } = tried
  return `${trials.map(describeHeld).join('\n')}\nwith ${trials.length === 1 ? 'it' : 'them'}: ${renderVerdict(tried)}`
}

function renderBasis({ answered, silent }: Explanation): string {
  const missing = silent.map(({ node, because }) => `${node} ${because}`)
  const stored = [...missing, 'computed from the store'].join(': ')
  if (answered.length === 0) return stored
  const said = `answered by ${answered.join(' and ')}`
  return silent.length === 0 ? said : `${said}; ${stored}`
}

function renderEnd({ kind, name, node }: End): string {
  if (kind === 'outside') return `${name} (outside)`
  if (kind === 'host') return `${name} (host)`
  return `${name} (${kind === 'workload' ? 'workload' : 'host endpoint'} on ${node ?? 'no host'})`
}

function renderPacket({ packet: { protocol, port, sourcePort, icmp } }: Explanation): string {
  const name = Object.entries(PROTOCOL_NUMBERS).find(([, number]) => number === protocol)?.[0] ?? `protocol ${protocol}`
  if (icmp !== undefined) return `${name} type ${icmp.type} code ${icmp.code}`
  return port === undefined ? name : `${name} port ${port} (from port ${sourcePort})`
}

function renderFlow({ family, source, destination, route, translatedSource, hosts, mtuBytes }: ExplainedFlow): string {
  const nat = translatedSource === undefined ? '' : `  source becomes ${translatedSource} by NAT\n`
  const parts = [...(route === undefined ? [] : [renderRoute(route)]), nat, `  MTU ${mtuBytes}\n`, ...hosts.map(renderHost)]
  return `\nIPv${family}: ${source} to ${destination}\n${parts.join('')}`
}

function renderRoute({ from, to, via, pool, block, link, nextHop, tunnel, because }: ExplainedRoute): string {
  const where = [
    via === 'host-routes' ? "by the host's own routes" : via === 'none' ? 'no route' : via,
    nextHop === undefined ? '' : `next hop ${nextHop}`,
    link === undefined ? '' : `on ${link}`,
    tunnel === undefined ? '' : `(${tunnel.from} to ${tunnel.to}, UDP ${tunnel.port})`,
  ].filter((part) => part !== '')
  const lines = [`  route: ${from}${to === undefined ? '' : ` to ${to}`}, ${where.join(' ')}\n`, `    ${because}\n`]
  if (pool !== undefined)
    lines.push(`    pool ${pool.name} ${pool.cidr}, encapsulation ${pool.encapsulation}${block === undefined ? '' : `, block ${block}`}\n`)
  return lines.join('')
}

/** The packet around it is made last where the packet is sent, and judged first where it arrives. */
function renderHost({ node, in: received, out, source, destination, tunnel = [], steps, isReached }: ExplainedHost): string {
  const ways = [received === undefined ? 'sent by the host' : `in ${received}`, out === undefined ? 'delivered to the host' : `out ${out}`]
  const outer = tunnel.map((step) => renderStep(step, 'tunnel packet, '))
  const inner = steps.length === 0 ? ['    nothing is asked here: allow\n'] : steps.map((step) => renderStep(step, ''))
  const lines = isTunnelDevice(received) ? [...outer, ...inner] : [...inner, ...outer]
  const where = isReached ? `on ${node}` : `on ${node}, if it got there`
  return `  ${where}: ${ways.join(', ')}, ${source} to ${destination}\n${lines.join('')}`
}

function renderStep({ place, endpoint, verdict, stagedVerdict, because, checks }: ExplainedStep, before: string): string {
  const staged = stagedVerdict === undefined ? '' : ` (staged: ${stagedVerdict})`
  const what = verdict === 'none' ? 'goes on' : verdict
  const why = because === undefined ? '' : `, ${because}`
  const head = `    ${before}${place}${endpoint === undefined ? '' : `, ${endpoint}`}: ${what}${staged}${why}\n`
  return head + checks.map(renderCheck).join('')
}

function renderCheck({ by, tier, name, isStaged, text }: ExplainedCheck): string {
  if (by === 'tier' || by === 'end') return `      ${text}\n`
  const where = by === 'profile' ? `profile ${name}` : `tier ${tier}, ${name}${isStaged === true ? ' (staged)' : ''}`
  return `      ${where}: ${text}\n`
}

function renderVerdict({ flows, verdict }: Pick<Explanation, 'flows' | 'verdict'>): string {
  const deciding = flows.find((flow) => flow.verdict === verdict)
  const others = flows.filter((flow) => flow.verdict !== verdict).map((flow) => ` (IPv${flow.family}: ${flow.verdict})`)
  const version = others.length === 0 ? '' : ` for IPv${deciding?.family}`
  return `${verdict}${version}: ${deciding?.because}${others.join('')}\n`
}
