import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { describeError, MargayError } from '../../errors.ts'
import type {
  CollectorReport,
  FailureReport,
  PeerReport,
  PolicyReport,
  RevocationReport,
  StatusReport,
  TrialReport,
} from '../../model/own/api.ts'
import type { FlowsReport } from '../../model/own/flows.ts'
import { apiFor } from '../api.ts'
import type { ApiClient } from '../client.ts'
import type { AddCommand, Context } from '../context.ts'
import { describeFlow } from '../flow-lines.ts'
import { formatAge, joinOrDash, renderFacts, renderJson, renderTable } from '../format.ts'
import { addApiOptions, addOutputOption, parseCount } from '../options.ts'
import { defineChecksystem } from './checksystem.ts'

const EXAMPLES = `
Examples:
  margay status
  margay status --wait 60
  margay status -o json | jq '.peers[] | select(.isReachable | not)'

Exit code 0 when the daemon answered, with --wait only when it is ready.`

/** `margay status`. */
export const addStatusCommand: AddCommand = (parent, context) => {
  const status = parent.command('status').description('show this host, its peers and what went wrong')
  define(status, context)
}

/** `margay node status|checksystem`, as calicoctl has them. */
export const addNodeCommand: AddCommand = (parent, context, outcome) => {
  const node = parent.command('node').description('commands about this host')
  define(node.command('status').description('the same as "margay status"'), context)
  defineChecksystem(node.command('checksystem'), context, outcome)
}

function define(command: Command, context: Context): void {
  addOutputOption(addApiOptions(command), ['text', 'json'])
    .option('--wait [seconds]', 'wait until the host is ready', parseCount(1, 86_400))
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { output, wait } = command.opts<{ output: string; wait?: number | true }>()
      const api = apiFor(command, context)
      if (context.program === 'calicoctl') context.out(await calicoHead(api))
      const report = wait === undefined ? await ask(api) : await waitUntilReady(api, wait === true ? 30 : wait, context.signal)
      context.out(output === 'json' ? renderJson(report) : renderStatus(report, context.now()))
      if (wait !== undefined && !report.isReady) throw new MargayError('not-ready', `not ready in time: ${report.notReady.join('; ')}`)
    })
}

/** What scripts look for in the answer of `calicoctl node status`. */
async function calicoHead(api: ApiClient): Promise<string> {
  await ask(api).catch((cause: unknown) => {
    throw new MargayError('daemon-away', `Calico process is not running. ${describeError(cause)}`)
  })
  return 'Calico process is running.\n\n'
}

function ask(api: ApiClient): Promise<StatusReport> {
  return api.call<StatusReport>({ path: '/v1/status' })
}

/** Asks until the daemon is ready; a daemon that is not running yet is waited for too. Gives the last answer. */
async function waitUntilReady(api: ApiClient, seconds: number, signal: AbortSignal): Promise<StatusReport> {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const report = await ask(api).catch((error: unknown) => {
      if (!(error instanceof MargayError) || error.code !== 'daemon-away' || performance.now() >= deadline) throw error
      return undefined
    })
    if (report?.isReady || (report !== undefined && performance.now() >= deadline)) return report
    await delay(250, undefined, { signal }).catch((cause: unknown) => {
      throw new MargayError('interrupted', `interrupted while waiting: ${describeError(cause)}`)
    })
  }
}

/** Status for a person. */
export function renderStatus(report: StatusReport, now: Date): string {
  const parts = [renderFacts(factsOf(report, now)), renderPeers(report, now), ...renderHostEndpoints(report)]
  if (report.failures.length > 0) parts.push(renderFailures(report.failures))
  if (report.warnings.length > 0) parts.push(`Warnings:\n${report.warnings.map((warning) => `  ${warning}\n`).join('')}`)
  return parts.join('\n')
}

function factsOf(report: StatusReport, now: Date): readonly (readonly [string, string])[] {
  const { mode, store } = report
  return [
    ['Node', `${report.node} (margay ${report.version})`],
    ['Ready', report.isReady ? 'yes' : `no: ${report.notReady.join('\n')}`],
    ['Mode', mode.isDifferent ? `${mode.pools} (the configuration says ${mode.configured}; the pools win)` : mode.pools],
    ['Etcd', storeState(store)],
    ['Revision', revisionState(report)],
    ['Addresses', joinOrDash(report.addresses)],
    ['Tunnel', joinOrDash(report.tunnelAddresses)],
    ['MTU', report.mtuBytes === 0 ? '-' : String(report.mtuBytes)],
    ['Workloads', String(report.workloads)],
    ...(report.policy === undefined ? [] : [['Policy', policyState(report.policy)] as const]),
    ['Repairs', String(report.repairs)],
    ...(report.flows === undefined ? [] : [['Denied', flowsState(report.flows, now)] as const]),
    ...(report.revocation === undefined ? [] : [['Ended', endedState(report.revocation)] as const]),
    ...((report.trials ?? []).length === 0 ? [] : [['Trials', (report.trials ?? []).map(trialState).join('\n')] as const]),
    ...(report.collector === undefined ? [] : [['Leaks', leaksState(report.collector)] as const]),
  ]
}

/** What applies on this host. */
function policyState({ policies, staged, tiers, workloads, hostEndpoints, rules }: PolicyReport): string {
  const counts = [[workloads, 'workload'] as const, [hostEndpoints.length, 'host endpoint'] as const]
  const on = counts.flatMap(([number, one]) => (number === 0 ? [] : [count(number, one)]))
  const what = `${count(policies, 'policy', 'policies')}${staged === 0 ? '' : ` (${staged} staged)`}`
  const where = policies === 0 ? '' : ` in ${count(tiers, 'tier')} on ${on.join(' and ')}`
  return `${policies === 0 ? 'no policies' : what}${where}; ${count(rules, 'rule')}`
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`
}

/** What rules deny at present, and the latest packet of it. */
function flowsState({ problem, deniedLastMinute = 0, lastDenied, lost }: FlowsReport, now: Date): string {
  const denied = deniedLastMinute === 0 ? 'no packets' : count(deniedLastMinute, 'packet')
  return [
    `${denied} in the last minute${deniedLastMinute === 0 ? '' : ' (margay flows --dropped)'}`,
    ...(lastDenied === undefined ? [] : [`${formatAge(new Date(lastDenied.time), now)}: ${describeFlow(lastDenied)}`]),
    ...(lost === 0 ? [] : [`${count(lost, 'event')} lost since the start`]),
    ...(problem === undefined ? [] : [problem]),
  ].join('\n')
}

/** Open flows that a change of policy has ended, or would. */
function endedState({ isWanted, ended, tolerated, wouldEnd, problem }: RevocationReport): string {
  if (!isWanted) return 'none: flows that policy denies go on (policy.revokeEstablished is false)'
  const counts = Object.entries(ended)
  const total = counts.reduce((sum, [, count]) => sum + count, 0)
  return [
    total === 0
      ? 'no flows'
      : `${count(total, 'flow')} that policy denies since (${counts.map(([by, count]) => `${count} by ${by}`).join(', ')})`,
    ...(wouldEnd === undefined ? [] : [`${count(wouldEnd, 'flow')} would end with what is on trial`]),
    ...(tolerated === 0
      ? []
      : [
          `${count(tolerated, 'flow')} ${tolerated === 1 ? 'goes on that is older than the host endpoint that denies it' : 'go on that are older than the host endpoint that denies them'}`,
        ]),
    ...(problem === undefined ? [] : [`flows can't be judged: ${problem}`]),
  ].join('\n')
}

/** What is tried here, and until when. */
function trialState({ id, by, leftSeconds, state, reasons, changes }: TrialReport): string {
  const what = `${id} by ${by}: ${changes.join(', ')}`
  if (state === 'refused') return `${what}; refused, what was before holds: ${reasons.join('; ')}`
  if (state === 'waiting') return `${what}; not begun, etcd has not said yet how long it lasts`
  return `${what}; the policy that was returns in ${leftSeconds} s (margay confirm ${id})`
}

/** What is done about addresses that nobody uses any more. */
function leaksState({ mode, isLeading, leader, waiting, collected, problem }: CollectorReport): string {
  if (mode === 'off') return 'not looked for (ipam.collect is off)'
  const done = mode === 'on' ? `${collected.addresses + collected.blocks + collected.handles} collected` : 'a dry run, none collected'
  const who = isLeading
    ? ', this host collects for hosts that are gone'
    : leader === undefined
      ? ''
      : `, ${leader} collects for hosts that are gone`
  return `${waiting} found, ${done}${who}${problem === undefined ? '' : `\nthe last look failed: ${problem}`}`
}

function storeState({ endpoints, isConnected, reason, isFromSavedView }: StatusReport['store']): string {
  const saved = isFromSavedView ? ', working from the saved view' : ''
  if (isConnected) return `connected (${endpoints.join(', ')})${saved}`
  const unnamed = endpoints.filter((endpoint) => reason?.includes(endpoint) !== true)
  const where = unnamed.length === 0 ? '' : ` (${unnamed.join(', ')})`
  return `not connected: ${reason ?? 'no reason known'}${where}${saved}`
}

function revisionState({ revision, appliedRevision }: StatusReport): string {
  if (revision === 0) return 'none yet'
  return revision === appliedRevision ? `${revision}, applied` : `${revision}, applied up to ${appliedRevision}`
}

function renderPeers({ peers, store }: StatusReport, now: Date): string {
  if (peers.length === 0) return 'No peers.\n'
  const header = ['PEER', 'FAMILY', 'MODE', 'TUNNEL', 'NEXT HOP', 'MTU', 'BLOCKS', 'LAST SEEN', 'STATE']
  return renderTable(
    header,
    peers.map((peer) => [
      peer.node,
      `IPv${peer.family}`,
      peer.mode,
      peer.tunnel ?? '-',
      peer.nextHop ?? '-',
      peer.mtuBytes === undefined ? '-' : String(peer.mtuBytes),
      String(peer.blocks),
      lastSeen(peer, store.isConnected, now),
      peerState(peer, store.isConnected),
    ]),
  )
}

/** Peers say in etcd that they live: while it is away nobody knows. */
function lastSeen({ isAlive, lastSeen: seen }: PeerReport, isKnown: boolean, now: Date): string {
  if (isAlive) return isKnown ? 'now' : 'unknown'
  return seen === undefined ? 'unknown' : formatAge(new Date(seen), now)
}

function peerState({ isReachable, isAlive, reason }: PeerReport, isKnown: boolean): string {
  const alive = isAlive ? (isKnown ? 'reachable' : 'routed') : 'routed, but not alive'
  const state = isReachable ? alive : 'not reachable'
  return reason === undefined ? state : `${state}: ${reason}`
}

/** More policies of a host endpoint are counted only; `-o json` has them all. */
const MOST_POLICIES = 5

function renderHostEndpoints({ policy }: StatusReport): readonly string[] {
  if (policy === undefined || policy.hostEndpoints.length === 0) return []
  const rows = policy.hostEndpoints.map(({ name, interface: link, policies }) => {
    const more = policies.length > MOST_POLICIES ? [`and ${policies.length - MOST_POLICIES} more`] : []
    return [name, link, joinOrDash([...policies.slice(0, MOST_POLICIES), ...more])]
  })
  return [renderTable(['HOST ENDPOINT', 'INTERFACE', 'POLICIES'], rows)]
}

/** More failures than these with one reason are one row; `-o json` has them all. */
const MOST_ALIKE = 3

function renderFailures(failures: readonly FailureReport[]): string {
  const byReason = new Map<string, FailureReport[]>()
  for (const failure of failures) {
    const alike = byReason.get(failure.reason)
    if (alike === undefined) byReason.set(failure.reason, [failure])
    else alike.push(failure)
  }
  const rows = [...byReason].flatMap(([reason, alike]) => {
    if (alike.length <= MOST_ALIKE) return alike.map(({ table, key }) => [table, key, reason])
    return [[joinOrDash([...new Set(alike.map(({ table }) => table))]), `${alike.length} entries`, reason]]
  })
  return `Failures:\n${renderTable(['TABLE', 'KEY', 'REASON'], rows)}`
}
