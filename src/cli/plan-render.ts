import type { CutFlow, EndpointChange, FlowsAnswer, ToleratedFlow } from '../model/own/questions.ts'
import { PROTOCOL_NUMBERS } from '../net/port.ts'
import { joinOrDash } from './format.ts'
import { describeHeld, type HeldTrial } from './trial-records.ts'

/** What becomes of one resource. */
export interface PlannedResource {
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly becomes: 'created' | 'updated' | 'deleted' | 'unchanged'
  /** Of a network set: which prefixes come and go. */
  readonly nets?: { readonly added: readonly string[]; readonly removed: readonly string[] }
}

/** What becomes of one host; without `answer` it was not heard. */
export interface PlannedHost {
  readonly node: string
  /** What the host says itself, or what follows from the store. */
  readonly basis: 'host' | 'store'
  /** Why the host was not heard. */
  readonly because?: string
  /** Nobody knows its open connections, and what changes concerns it: they count as cut. */
  readonly countsAsCut: boolean
  readonly changes: Pick<FlowsAnswer, 'endpoints' | 'endpointsTotal' | 'problems'> & Partial<FlowsAnswer>
}

/** What `margay plan` answers; `-o json` is this, and keeps its members from version to version. */
export interface Plan {
  readonly resources: readonly PlannedResource[]
  readonly hosts: readonly PlannedHost[]
  readonly asked: number
  readonly answered: number
  /** Open connections that would be cut, on the hosts that were heard. */
  readonly cut: number
  /** Open connections there that would go on, although new ones like them would be denied. */
  readonly tolerated: number
  /** An open connection would be cut, or may be on a host that was not heard. */
  readonly wouldCut: boolean
  /** Trials that run now. The plan is about the policy that is written, as if there were none. */
  readonly trials?: readonly HeldTrial[]
}

/** A plan for people; the last lines are the totals. */
export function renderPlan(plan: Plan): string {
  const resources = plan.resources.map(renderResource)
  const hosts = plan.hosts.map(renderHost)
  return [
    ...resources,
    ...(hosts.length === 0 ? [] : ['\n']),
    ...hosts,
    '\n',
    ...(plan.trials ?? []).map(renderTrial),
    renderTotals(plan),
  ].join('')
}

function renderTrial(trial: HeldTrial): string {
  return `${describeHeld(trial)}: all this is about the policy that is written, without it\n`
}

function renderResource({ kind, name, namespace, becomes, nets }: PlannedResource): string {
  const id = [kind.toLowerCase(), namespace, name].filter((part) => part !== undefined).join('/')
  const changed = [...(nets?.added ?? []).map((net) => `+ ${net}`), ...(nets?.removed ?? []).map((net) => `- ${net}`)]
  const shown = changed.length > MOST_NETS ? [...changed.slice(0, MOST_NETS), `and ${changed.length - MOST_NETS} more`] : changed
  return `${id} ${becomes === 'unchanged' ? 'is as it is' : `would be ${becomes}`}${shown.length === 0 ? '' : `: ${shown.join(', ')}`}\n`
}

const MOST_NETS = 20

function renderHost(host: PlannedHost): string {
  const { endpoints, endpointsTotal, cut = [], cutTotal = 0, tolerated = [], toleratedTotal = 0, checked, problems } = host.changes
  const changed = endpointsTotal === 0 ? 'no policies of endpoints change' : `policies of ${count(endpointsTotal, 'endpoint')} change`
  const flows =
    checked === undefined ? 'open connections are not known' : `${cutTotal} of ${count(checked, 'open connection')} would be cut`
  const others = toleratedTotal === 0 ? '' : `, ${toleratedTotal} would go on that could not begin any more`
  const why = host.because === undefined ? '' : ` (${host.because}; from the store)`
  return [
    `${host.node}: ${changed}, ${flows}${others}${host.countsAsCut ? ', and count as cut' : ''}${why}\n`,
    ...endpoints.map(renderEndpoint),
    more(endpoints.length, endpointsTotal, 'endpoints'),
    ...cut.map(renderCut),
    more(cut.length, cutTotal, 'connections that would be cut'),
    ...tolerated.map(renderTolerated),
    more(tolerated.length, toleratedTotal, 'connections that would go on'),
    ...problems.map((problem) => `  warning: ${problem}\n`),
  ].join('')
}

function renderEndpoint({ endpoint, is, added, removed, changed, notes }: EndpointChange): string {
  const lines = [
    ...added.map((policy) => `+ ${policy}`),
    ...removed.map((policy) => `- ${policy}`),
    ...changed.map((policy) => `~ ${policy}`),
    ...notes,
  ]
  return `  ${endpoint}${is === 'changed' ? '' : `, ${is}`}\n${lines.map((line) => `    ${line}\n`).join('')}`
}

function renderCut(flow: CutFlow): string {
  return `  cut: ${describe(flow)}\n`
}

function renderTolerated({ goesOn, ...flow }: ToleratedFlow): string {
  return `  goes on (${goesOn}), new ones like it would be denied: ${describe(flow)}\n`
}

function describe({ source, destination, protocol, icmp, because }: CutFlow): string {
  const name = Object.entries(PROTOCOL_NUMBERS).find(([, number]) => number === protocol)?.[0] ?? `protocol ${protocol}`
  const end = ({ address, port }: CutFlow['source']) => (port === undefined ? address : `${address} port ${port}`)
  const type = icmp === undefined ? '' : ` type ${icmp.type} code ${icmp.code}`
  return `${name}${type} from ${end(source)} to ${end(destination)}: ${because}`
}

function more(shown: number, total: number, what: string): string {
  return total > shown ? `  and ${total - shown} more ${what}\n` : ''
}

function renderTotals({ resources, hosts, asked, answered, cut, tolerated, wouldCut }: Plan): string {
  if (resources.every(({ becomes }) => becomes === 'unchanged')) return 'nothing would change\n'
  if (asked === 0) return 'no host is concerned\n'
  const silent = hosts.filter(({ because }) => because !== undefined).map(({ node }) => node)
  const did = silent.length === 0 ? '' : `; ${joinOrDash(silent)} did not`
  const blind = hosts.filter(({ countsAsCut }) => countsAsCut).map(({ node }) => node)
  const unknown = blind.length === 0 ? '' : `; those of ${blind.join(', ')} count as cut`
  const flows = wouldCut ? `${count(cut, 'open connection')} would be cut${unknown}` : 'no open connection would be cut'
  const others = tolerated === 0 ? '' : `${count(tolerated, 'open connection')} would go on, new ones like them would be denied\n`
  return `answered by ${answered} of ${count(asked, 'host')}${did}\n${flows}\n${others}`
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
