import { ConflictError, describeError, StoreError } from '../errors.ts'
import { parseKey, TRIALS_PREFIX, trialHostsPrefix, trialKey } from '../model/keys.ts'
import { decodeTrial, decodeTrialHost, encodeTrial, type Trial, type TrialHost } from '../model/own/trial.ts'
import { readTrialChanges, type TrialChange } from '../model/own/trial-changes.ts'
import type { CommitResult, Compare, Store } from '../store/store.ts'
import { UsageError } from './context.ts'
import { dryRunStore } from './dry-run.ts'
import { nameOf } from './kind.ts'
import { checkTierExists, checkTierUnused } from './tier-steps.ts'

/** A trial that runs. */
export interface RunningTrial {
  readonly id: string
  readonly trial: Trial
  readonly changes: readonly TrialChange[]
  /** Undefined: it ended just now. */
  readonly leftSeconds: number | undefined
}

/** The trials that run, in the order of their ids. What another version wrote and this one can't read is left out. */
export async function listTrials(store: Store, signal: AbortSignal): Promise<readonly RunningTrial[]> {
  const found: RunningTrial[] = []
  for await (const page of store.list(TRIALS_PREFIX, {}, signal)) {
    for (const { key, value, modRevision } of page.entries) {
      const one = await readRunning(store, { id: key.slice(TRIALS_PREFIX.length), value, modRevision }, signal)
      if (one !== undefined) found.push(one)
    }
  }
  return found
}

/**
 * The trial that is meant; without an id the only one that runs.
 *
 * @throws {ConflictError} `not-found`
 * @throws {UsageError} when an id is needed to tell which
 */
export async function findTrial(store: Store, id: string | undefined, signal: AbortSignal): Promise<RunningTrial> {
  if (id === undefined) {
    const running = await listTrials(store, signal)
    const [only] = running
    if (only === undefined) throw new ConflictError('not-found', 'no trial runs')
    if (running.length > 1) throw new UsageError(`several trials run, give the id of one: ${running.map((one) => one.id).join(', ')}`)
    return only
  }
  const entry = await store.get(trialKey(id), signal)
  const found = entry && (await readRunning(store, { ...entry, id }, signal))
  if (found === undefined) throw over(id)
  return found
}

/**
 * Writes what a trial tries, all of it or nothing; gives the revision.
 *
 * @throws {ConflictError} when it is over, or when what it changes was changed by somebody else since it began
 */
export async function confirmTrial(store: Store, { id, trial, changes }: RunningTrial, signal: AbortSignal): Promise<void> {
  const writes = trial.writes.map((write) => ('put' in write ? write : { remove: write.remove }))
  await checkTiers(store, trial, changes, signal)
  const own = { key: trialKey(id), modRevision: trial.revision }
  const confirmed = { put: own.key, value: encodeTrial({ ...trial, isConfirmed: true }), lease: BigInt(trial.lease) }
  const { isDone, current } = await ifLeased(id, store.commit([own, ...trial.compares], [...writes, confirmed], signal))
  if (!isDone && current.get(own.key)?.modRevision !== own.modRevision) throw over(id)
  if (!isDone) throw new ConflictError('conflict', `trial ${id} was not confirmed, nothing was written: ${describeChanged(current, trial)}`)
}

/**
 * Ends a trial before its time.
 *
 * @throws {ConflictError} when it is over
 */
export async function cancelTrial(store: Store, { id, trial }: RunningTrial, signal: AbortSignal): Promise<void> {
  const key = trialKey(id)
  const { isDone } = await store.commit([{ key, modRevision: trial.revision }], [{ remove: key }], signal)
  if (!isDone) throw over(id)
}

/** What hosts have said of a trial, by name. */
export async function readTrialHosts(store: Store, id: string, signal: AbortSignal): Promise<readonly TrialHost[]> {
  const hosts: TrialHost[] = []
  for await (const page of store.list(trialHostsPrefix(id), {}, signal))
    hosts.push(...page.entries.map(({ value }) => decodeTrialHost(value)))
  return hosts
}

/** A trial that holds on hosts, in words of other answers. */
export interface HeldTrial {
  readonly id: string
  /** What it changes, as `globalnetworkpolicy/web`. */
  readonly changes: readonly string[]
  readonly nodes: readonly string[]
  readonly leftSeconds: number
  /** By the clock of this machine. */
  readonly until: string
}

/** The trials that run on some of these hosts, as the hosts have said. */
export async function listHeldTrials(
  store: Store,
  isMeant: (node: string) => boolean,
  now: Date,
  signal: AbortSignal,
): Promise<readonly (HeldTrial & { readonly running: RunningTrial })[]> {
  const held: (HeldTrial & { readonly running: RunningTrial })[] = []
  for (const running of await listTrials(store, signal)) {
    const { id, changes, leftSeconds } = running
    const hosts = await readTrialHosts(store, id, signal)
    const nodes = hosts.flatMap(({ node, state }) => (state === 'running' && isMeant(node) ? [node] : []))
    if (leftSeconds === undefined || nodes.length === 0) continue
    const until = new Date(now.getTime() + leftSeconds * 1000).toISOString()
    held.push({ id, changes: changes.map(nameOfChange), nodes, leftSeconds, until, running })
  }
  return held
}

/** `trial k7fm of globalnetworkpolicy/web runs on h1, until 20:15:03Z (41 s left)`. */
export function describeHeld({ id, changes, nodes, leftSeconds, until }: HeldTrial): string {
  return `trial ${id} of ${changes.join(', ')} runs on ${nodes.join(', ')}, until ${until.slice(11, 19)}Z (${leftSeconds} s left)`
}

/** `globalnetworkpolicy/web`, as a person names it. */
export function nameOfChange({ kind, id }: Pick<TrialChange, 'kind' | 'id'>): string {
  const slash = id.indexOf('/')
  return nameOf(kind, id.slice(slash + 1), slash < 0 ? undefined : id.slice(0, slash))
}

async function readRunning(
  store: Store,
  { id, value, modRevision }: { readonly id: string; readonly value: string; readonly modRevision: number },
  signal: AbortSignal,
): Promise<RunningTrial | undefined> {
  try {
    const trial = decodeTrial(value, modRevision)
    if (trial.isConfirmed) return undefined
    return { id, trial, changes: readTrialChanges(trial), leftSeconds: await store.leaseSeconds(BigInt(trial.lease), signal) }
  } catch (error) {
    if (error instanceof StoreError) throw error
    return undefined
  }
}

function over(id: string): ConflictError {
  return new ConflictError(
    'not-found',
    `there is no trial ${JSON.stringify(id)} any more: its time is over, or it was confirmed or cancelled`,
  )
}

/** A trial whose lease ends in the same moment is over. */
async function ifLeased(id: string, commit: Promise<CommitResult>): Promise<CommitResult> {
  try {
    return await commit
  } catch (error) {
    if (error instanceof StoreError && /lease not found/.test(describeError(error))) throw over(id)
    throw error
  }
}

/** What must be there for policies, and what must not be for a tier that goes, may be otherwise than when the trial began. */
async function checkTiers(store: Store, trial: Trial, changes: readonly TrialChange[], signal: AbortSignal): Promise<void> {
  const after = dryRunStore(store)
  await after.commit(
    [],
    trial.writes.map((write) => ('put' in write ? write : { remove: write.remove })),
    signal,
  )
  for (const { kind, id, resource } of changes) {
    if (resource !== undefined) await checkTierExists(after, resource, signal)
    else if (kind === 'Tier') await checkTierUnused(after, id, signal)
  }
}

function describeChanged(current: ReadonlyMap<string, { readonly modRevision: number } | undefined>, { compares }: Trial): string {
  const isOther = ({ key, modRevision }: Compare) => (current.get(key)?.modRevision ?? 0) !== modRevision
  const names = compares.filter(isOther).map(({ key }) => {
    const parsed = parseKey(key)
    return parsed === undefined || parsed.kind === 'IPAMBlock' || parsed.kind === 'Live' || parsed.kind === 'Trial'
      ? key
      : nameOfChange({ kind: parsed.kind, id: parsed.id })
  })
  return `since it began somebody else has changed ${names.join(', ')}`
}
