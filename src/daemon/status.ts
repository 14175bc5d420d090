import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config.ts'
import { APPLY_ORDER } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { KernelTables } from '../kernel/table.ts'
import { modeOf, showModes } from '../model/mode.ts'
import type { DiffReport, FailureReport, PeerReport, StatusReport, TableDump } from '../model/own/api.ts'
import { FAMILIES } from '../net/ip.ts'
import { SharedSet } from '../net/shared-set.ts'
import { failsafesOf, openFailsafes } from '../policy/failsafes.ts'
import type { Merger } from '../reconcile/merge.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import { clientEndpoints } from '../store/embedded.ts'
import type { Connection } from '../store/store.ts'
import type { Broken, MutableView } from '../store/view.ts'
import type { AutoHostEndpoints } from './auto-host-endpoints.ts'
import type { BootRules } from './boot-rules.ts'
import type { Collector } from './collector.ts'
import { describeEachPeer } from './describe-peers.ts'
import type { Flows } from './flows.ts'
import type { Host } from './host.ts'
import type { LiveKeeper } from './live.ts'
import type { PassLoop } from './loop.ts'
import type { PlanContext } from './plan-context.ts'
import type { Planner } from './planner.ts'
import { POLICY_GROUP } from './policy-part.ts'
import type { PolicySummary } from './policy-summary.ts'
import { describeFailures, hostReasons, type WorkloadLinks, withRefusals } from './refusals.ts'
import { isConsequence, type RefusedRules } from './refused-rules.ts'
import type { Registrar } from './register.ts'
import type { Revoker } from './revoke.ts'
import type { ViewSaver } from './saver.ts'
import type { FollowSource } from './source.ts'
import type { Trials } from './trials.ts'
import { VERSION } from './version.ts'

/** A pass that takes longer than this is no life. Milliseconds. */
const STUCK_MS = 90_000
/** One fault can be in thousands of records: so many warnings are named, the others counted. */
const MOST_WARNINGS = 100
/** So many policies that can't be read stand among the reasons why a host is not ready. */
const MOST_OF_A_KIND = 10

/** What status is computed from, each time that it is asked for; nothing is remembered for it. */
export interface StatusParts {
  readonly config: Config
  readonly host: Host
  readonly loop: PassLoop
  readonly planner: Planner
  readonly merger: Merger
  readonly reconciler: Reconciler
  readonly refused: RefusedRules
  readonly summary: PolicySummary
  readonly registrar: Registrar
  readonly live: LiveKeeper
  readonly source: FollowSource
  readonly saver: ViewSaver
  readonly bootRules: Pick<BootRules, 'problem'>
  readonly autoHostEndpoints: Pick<AutoHostEndpoints, 'problem'>
  readonly collector: Pick<Collector, 'report'>
  readonly revoker?: Pick<Revoker, 'report'>
  readonly flows?: Pick<Flows, 'report'>
  readonly trials: Pick<Trials, 'report'>
  readonly connection: Connection
  /** Why this host is not let into the network yet. */
  readonly admission: string | undefined
  /** The revision that the last whole pass applied; 0 before the first. */
  readonly appliedRevision: number
  readonly loopDelayP999Ms: number
}

/** Why the daemon does not live. */
export function notAlive({ loop }: Pick<StatusParts, 'loop'>): readonly string[] {
  return loop.idleMs > STUCK_MS ? [`no pass has ended for ${Math.round(loop.idleMs / 1000)} s`] : []
}

/** Why the host is not ready: what we know is not applied. That etcd is away is no reason once there is something to apply. */
export function notReady(parts: StatusParts): readonly string[] {
  const { loop, planner, host, registrar, live, reconciler, config } = parts
  const reasons = [...notAlive(parts)]
  const waiting = parts.admission
  if (planner.context === undefined) {
    const { isConnected, reason } = parts.connection
    const away = `etcd is away and there is no saved view: ${reason ?? 'no answer'}`
    const first = waiting ?? (isConnected ? 'the first view of etcd is not applied yet' : away)
    reasons.push(config.etcd.embedded && !isConnected ? `${first} (systemctl status margay-etcd)` : first)
  } else if (!planner.context.view.get('Node').has(config.node.name)) {
    reasons.push(registrar.problem ?? waiting ?? 'the Node record of this host is not written yet')
  }
  if (loop.failure !== undefined) reasons.push(loop.failure)
  if (live.problem !== undefined) reasons.push(live.problem)
  reasons.push(
    ...atMost(unknownReach(parts.source.view)),
    ...atMost(unknownSets(parts.source.view)),
    ...atMost(planner.problemsOf(POLICY_GROUP)),
  )
  if (host.factsProblem !== undefined) reasons.push(host.factsProblem)
  const failures = reconciler.failures()
  return failures.length === 0 ? reasons : [...reasons, ...hostReasons(failures, refusedRules(parts), workloadLinks(parts))]
}

/** The interfaces of this host's workloads, whoever made them. */
export function workloadLinks({ planner: { context }, merger }: Pick<StatusParts, 'planner' | 'merger'>): WorkloadLinks {
  const endpoints = context?.view.get('WorkloadEndpoint')
  const links = new Map<string, string>()
  for (const id of context?.endpoints ?? []) {
    const link = endpoints?.get(id)?.spec.interfaceName
    if (link !== undefined) links.set(link, id)
  }
  return { links, linkOfRoute: (key) => merger.tables.routes.get(key)?.link }
}

/** For whom the rules are that the kernel refuses, by key. */
function refusedRules({ reconciler, merger, planner, refused }: StatusParts): ReadonlyMap<string, string> {
  const roots = reconciler.failures().filter((failure) => failure.table === 'policy' && !isConsequence(failure))
  const { context } = planner
  const workloadOf = (link: string) =>
    [...(context?.endpoints ?? [])].find((id) => context?.view.get('WorkloadEndpoint').get(id)?.spec.interfaceName === link)
  const source = { objects: merger.tables.policy, counted: planner.countedRules, workloadOf }
  return refused.of(
    roots.map(({ key }) => key),
    source,
    merger.revisionOf('policy'),
  )
}

/** What decides about traffic and can't be read: nobody knows for whom. */
function unknownReach({ unreadable }: Pick<MutableView, 'unreadable'>): readonly string[] {
  const unknown = [...unreadable.values()].filter(({ reach }) => reach === undefined)
  return unknown.map(({ kind, id, reason }) => `${kind} ${id} does not parse, and whom it is for can't be read either: ${reason}`)
}

/** Sets of addresses of which nobody knows the members: rules that deny them let them through. */
function unknownSets({ broken }: Pick<MutableView, 'broken'>): readonly string[] {
  const isUnknown = ({ kind, hasGoodVersion }: Broken) => !hasGoodVersion && (kind === 'NetworkSet' || kind === 'GlobalNetworkSet')
  return [...broken.values()].filter(isUnknown).map(({ kind, id, reason }) => `${kind} ${id} does not parse, it has no members: ${reason}`)
}

function atMost(reasons: readonly string[]): readonly string[] {
  if (reasons.length <= MOST_OF_A_KIND) return reasons
  return [...reasons.slice(0, MOST_OF_A_KIND), `${reasons.length - MOST_OF_A_KIND} more of this kind`]
}

/** What `margay status` shows; `foreignWarnings` is about rules of other programs. With thousands of peers it takes a while, in which others run. */
export async function statusReport(parts: StatusParts, foreignWarnings: readonly string[] = []): Promise<StatusReport> {
  const { config, planner, host, source, reconciler } = parts
  const { context } = planner
  const peers = context === undefined ? [] : await describeAll(context, host.lastSeen())
  const pools = context?.pools.map(({ pool }) => pool) ?? []
  const { isConnected, reason } = parts.connection
  const notReadyYet = notReady(parts)
  return {
    node: config.node.name,
    version: VERSION,
    mode: { configured: config.mode, pools: showModes(pools), isDifferent: pools.some((pool) => modeOf(pool) !== config.mode) },
    isReady: notReadyYet.length === 0,
    notReady: notReadyYet,
    store: {
      endpoints: clientEndpoints(config),
      isConnected,
      ...(isConnected || reason === undefined ? {} : { reason }),
      isFromSavedView: source.isSaved,
    },
    revision: source.view.revision,
    appliedRevision: parts.appliedRevision,
    addresses: Object.values(host.facts?.address ?? {}),
    tunnelAddresses: FAMILIES.flatMap((family) => context?.local.vtep[family]?.ip ?? []),
    mtuBytes: context === undefined ? 0 : smallestMtu(context),
    peers: withRefusals(peers, reconciler.failures(), parts.merger),
    workloads: context?.endpoints.size ?? 0,
    ...policyOf(parts),
    failures: failureReports(parts),
    repairs: reconciler.repairs,
    loopDelayP999Ms: parts.loopDelayP999Ms,
    warnings: [...warnings(parts), ...foreignWarnings],
    ...openFailsafesOf(parts),
    collector: parts.collector.report,
    ...(parts.revoker && { revocation: parts.revoker.report }),
    trials: parts.trials.report(),
    ...(parts.flows === undefined ? {} : { flows: parts.flows.report() }),
  }
}

function policyOf({ summary, planner, merger }: StatusParts): Pick<StatusReport, 'policy'> {
  const policy = summary.of(planner, merger)
  return policy === undefined ? {} : { policy }
}

async function describeAll(context: PlanContext, lastSeen: ReadonlyMap<string, string>): Promise<readonly PeerReport[]> {
  const rows: PeerReport[] = []
  const pace = new Pace()
  for (const ofPeer of describeEachPeer(context, lastSeen)) {
    rows.push(...ofPeer)
    if (pace.isDue) await pace.giveWay()
  }
  return rows
}

/** Of the families that this host has an underlay address of; 0 without any. */
function smallestMtu({ local, mtuBytes }: PlanContext): number {
  const families = FAMILIES.filter((family) => local.underlay[family] !== undefined)
  return families.length === 0 ? 0 : Math.min(...families.map((family) => mtuBytes[family]))
}

/** What is wanted in the kernel, by table and key. */
export async function desiredReport(merger: Merger): Promise<TableDump> {
  const dump: Record<string, Record<string, unknown>> = {}
  const pace = new Pace()
  for (const table of APPLY_ORDER) {
    const shown: Record<string, unknown> = {}
    for (const [key, value] of merger.tables[table]) {
      shown[key] = showValue(value)
      if (pace.isDue) await pace.giveWay()
    }
    dump[table] = shown
  }
  return dump
}

/** A fresh list of the kernel against what is wanted. */
export async function diffReport(tables: KernelTables, merger: Merger, signal: AbortSignal): Promise<DiffReport> {
  const differences: DiffReport['differences'][number][] = []
  for (const table of APPLY_ORDER) differences.push(...(await diffTable(table, tables, merger, signal)))
  return { differences }
}

async function diffTable<T extends (typeof APPLY_ORDER)[number]>(table: T, tables: KernelTables, merger: Merger, signal: AbortSignal) {
  const kernel = tables[table]
  const wanted: ReadonlyMap<string, unknown> = merger.tables[table]
  const listed: ReadonlyMap<string, unknown> = await kernel.list(signal)
  const matches = (want: unknown, have: unknown) =>
    (kernel.matches as ((a: unknown, b: unknown) => boolean) | undefined)?.call(kernel, want, have)
  const keys = [...new Set([...wanted.keys(), ...listed.keys()])].sort()
  return keys.flatMap((key) => {
    const [want, have] = [wanted.get(key), listed.get(key)]
    if (want !== undefined && have !== undefined && (matches(want, have) ?? isDeepStrictEqual(want, have))) return []
    return [
      { table, key, ...(want === undefined ? {} : { want: showValue(want) }), ...(have === undefined ? {} : { have: showValue(have) }) },
    ]
  })
}

/** Sets are lists in JSON. */
function showValue(value: unknown): unknown {
  if (value instanceof Set || value instanceof SharedSet) return [...value].sort()
  if (Array.isArray(value)) return value.map(showValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, showValue(item)]))
}

function failureReports({ reconciler, merger }: StatusParts): readonly FailureReport[] {
  const refused = describeFailures(reconciler.failures())
  const clashes = merger
    .clashes()
    .map(({ table, key, owner, loser }) => ({ table, key, reason: `wanted by ${owner} and by ${loser}; ${owner} has it` }))
  return [...refused, ...clashes]
}

/** What becomes of something that does not parse. */
function becomes({ unreadable }: Pick<MutableView, 'unreadable'>, key: string, hasGoodVersion: boolean): string {
  if (hasGoodVersion) return 'its last good version holds'
  return unreadable.get(key)?.reach === undefined ? 'it is left out' : 'what it is for is closed but for failsafe ports'
}

function warnings(parts: StatusParts): readonly string[] {
  const { planner, source, registrar, host, saver, bootRules, autoHostEndpoints } = parts
  const view: MutableView = source.view
  const broken = [...view.broken.values()].map(
    ({ kind, id, reason, hasGoodVersion }) => `${kind} ${id} does not parse (${reason}); ${becomes(view, `${kind}/${id}`, hasGoodVersion)}`,
  )
  const ofHost = [registrar.problem, host.factsProblem, saver.problem, bootRules.problem, autoHostEndpoints.problem]
  const all = [...ofHost.filter((text) => text !== undefined), ...planner.problems(), ...broken, ...failsafeWarnings(parts)]
  return all.length <= MOST_WARNINGS ? all : [...all.slice(0, MOST_WARNINGS), `and ${all.length - MOST_WARNINGS} more`]
}

/** Only where a host endpoint exists does it matter what stays open. */
function openFailsafesOf({ planner, config }: Pick<StatusParts, 'planner' | 'config'>): Pick<StatusReport, 'openFailsafes'> {
  const { context } = planner
  const has = [...(context?.view.get('HostEndpoint').values() ?? [])].some(({ spec }) => spec.node === config.node.name)
  return context === undefined || !has ? {} : { openFailsafes: openFailsafes(failsafesOf(context.felix)) }
}

function failsafeWarnings(parts: StatusParts): readonly string[] {
  const { openFailsafes: open } = openFailsafesOf(parts)
  const warn = (ports: readonly string[], what: string, field: string) =>
    ports.length === 0
      ? []
      : [`failsafe ports ${what} the whole world: ${ports.join(', ')}; give them a net in FelixConfiguration ${field}`]
  return [
    ...warn(open?.inbound ?? [], 'are open to', 'failsafeInboundHostPorts'),
    ...warn(open?.outbound ?? [], 'lead to', 'failsafeOutboundHostPorts'),
  ]
}
