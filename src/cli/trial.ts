import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { ConflictError, ValidationError } from '../errors.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { parseDuration } from '../model/duration.ts'
import { parseKey, TRIALS_GUARD_KEY, trialHostsPrefix, trialKey } from '../model/keys.ts'
import { decodeTrialHost, encodeTrial, isTriable, TRIAL_SECONDS, type Trial, type TrialHost } from '../model/own/trial.ts'
import type { Store } from '../store/store.ts'
import { MOST_OPERATIONS } from '../store/transaction.ts'
import { liveHosts } from './ask-hosts.ts'
import { type Collected, collectingStore } from './collecting-store.ts'
import { type Context, type ExitCode, UsageError } from './context.ts'
import type { NotedSession, Session } from './session.ts'
import { listTrials, nameOfChange } from './trial-records.ts'
import { type Concerning, concernedNodes } from './wait.ts'

/** Adds `--confirm`; calicoctl has no trials. */
export function addConfirmOption(command: Command, { program }: Pick<Context, 'program'>): Command {
  if (program === 'calicoctl') return command
  return command.option(
    '--confirm <time>',
    'have the hosts try it so long (30s, 2m); without "margay confirm" within that time the policy that was returns by itself',
    parseConfirmTime,
  )
}

function parseConfirmTime(text: string): number {
  const { least, most } = TRIAL_SECONDS
  const seconds = readSeconds(text)
  if (Number.isInteger(seconds) && seconds >= least && seconds <= most) return seconds
  throw new InvalidArgumentError(`Give whole seconds or minutes from ${least}s to ${most / 3600}h, such as 60s or 2m.`)
}

function readSeconds(text: string): number {
  try {
    return parseDuration(text) / 1000
  } catch {
    return Number.NaN
  }
}

/** A change that is to be tried: what is written in its session is collected. */
export interface Trying {
  readonly session: Session
  /** Lets it begin, waits for the hosts, and says how it went. */
  start(written: { readonly code: ExitCode; readonly resources: readonly Concerning[] }): Promise<ExitCode>
}

/**
 * With `--confirm`: what takes the place of the session for the writing.
 *
 * @throws {ValidationError} naming what can't be tried
 * @throws {UsageError} with `--dry-run`
 */
export function tryOut(
  command: Command,
  context: Context,
  { store }: NotedSession,
  given: readonly { readonly kind: string; readonly name: string }[],
): Trying | undefined {
  const { confirm, dryRun, wait } = command.opts<{ confirm?: number; dryRun?: true; wait?: number | true }>()
  if (confirm === undefined) return undefined
  if (dryRun) throw new UsageError('a dry run writes nothing that could be tried: give one of --confirm and --dry-run')
  refuseOthers(given.filter(({ kind }) => !isTriable(kind)).map(({ kind, name }) => `${kind} ${name}`))
  const collecting = collectingStore(store)
  const session = { store: collecting.store, ipam: createIpam({ store: collecting.store, node: 'client', log: silentLogger }) }
  const waitSeconds = typeof wait === 'number' ? wait : Math.min(LONGEST_WAIT_SECONDS, Math.ceil(confirm / 2))
  return {
    session,
    start: async ({ code, resources }) => {
      const collected = collecting.collected()
      if (code !== 0) {
        context.err(`${context.program}: nothing is tried, because not all of it could be done\n`)
        return code
      }
      if (collected.writes.length === 0) {
        context.out('nothing would be different: there is nothing to try\n')
        return 0
      }
      const started = await startTrial(store, context, collected, confirm)
      const said = await hearHosts(store, { ...started, nodes: concernedNodes(resources), seconds: waitSeconds }, context.signal)
      return reportStart(store, context, started, said, waitSeconds)
    },
  }
}

/** So long hosts are waited for, or half of the trial where that is less. Seconds. */
const LONGEST_WAIT_SECONDS = 30

function refuseOthers(names: readonly string[]): void {
  if (names.length === 0) return
  throw new ValidationError(
    `${names.join(', ')} can't be tried: only policies, tiers, profiles, network sets and host endpoints can, because only they can stand beside what is; apply it without --confirm`,
  )
}

interface Started {
  readonly id: string
  readonly revision: number
  readonly lease: bigint
}

async function startTrial(store: Store, context: Context, { compares, writes }: Collected, seconds: number): Promise<Started> {
  const kinds = writes.map((write) => parseKey('put' in write ? write.put : write.remove))
  refuseOthers(
    kinds.flatMap((parsed) => (parsed === undefined ? ['another record'] : isTriable(parsed.kind) ? [] : [`${parsed.kind} ${parsed.id}`])),
  )
  const most = MOST_OPERATIONS - OWN_OPERATIONS
  if (compares.length > most || writes.length > most)
    throw new ValidationError(
      `a trial changes at most ${most} keys (a policy counts as two), because it is confirmed in one transaction, not ${Math.max(compares.length, writes.length)}: try it in parts`,
    )
  const lease = await store.expiringLease(seconds, context.signal)
  const { env, hostname } = context
  const by = `${env['SUDO_USER'] ?? env['USER'] ?? env['LOGNAME'] ?? 'somebody'}@${hostname}`
  const trial: Trial = { by, startedAt: context.now().toISOString(), seconds, lease: String(lease), compares, writes, revision: 0 }
  const value = encodeTrial(trial)
  if (Buffer.byteLength(value) > MOST_BYTES)
    throw new ValidationError(`a trial has at most ${MOST_BYTES} bytes of documents, not ${Buffer.byteLength(value)}: try it in parts`)
  return writeTrial(store, { trial, value, lease }, context.signal)
}

/** The record of the trial, and the guard. */
const OWN_OPERATIONS = 2
/** etcd takes requests of 1.5 MiB, and what confirms has the documents twice. */
const MOST_BYTES = 700 << 10
const MOST_TRIES = 20

async function writeTrial(
  store: Store,
  { trial, value, lease }: { readonly trial: Trial; readonly value: string; readonly lease: bigint },
  signal: AbortSignal,
): Promise<Started> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const guard = { key: TRIALS_GUARD_KEY, modRevision: (await store.get(TRIALS_GUARD_KEY, signal))?.modRevision ?? 0 }
    await refuseOverlap(store, trial, signal)
    const id = newId()
    const own = { key: trialKey(id), modRevision: 0 }
    const puts = [own.key, guard.key].map((put) => ({ put, value: put === own.key ? value : id, lease }))
    const { isDone, revision, current } = await store.commit([guard, own, ...trial.compares], puts, signal)
    if (isDone) return { id, revision, lease }
    const changed = trial.compares.find(({ key, modRevision }) => (current.get(key)?.modRevision ?? 0) !== modRevision)
    if (changed !== undefined) throw new ConflictError('conflict', `${changed.key} was changed by somebody else in the same moment`)
  }
  throw new ConflictError('conflict', 'others begin trials all the time, try again')
}

/**
 * A trial that is over for its hosts stands in etcd a moment longer: that moment is waited for.
 *
 * @throws {ConflictError} when what is to be tried is being tried already
 */
async function refuseOverlap(store: Store, { compares, writes }: Trial, signal: AbortSignal): Promise<void> {
  const keyOf = (write: Trial['writes'][number]) => ('put' in write ? write.put : write.remove)
  const keys = new Set([...compares.map(({ key }) => key), ...writes.map(keyOf)])
  for (let look = 1; ; look++) {
    const other = (await listTrials(store, signal)).find(({ trial }) => trial.writes.some((write) => keys.has(keyOf(write))))
    if (other === undefined) return
    const { id, trial, changes, leftSeconds = 0 } = other
    if (leftSeconds > ENDING_SECONDS || look > MOST_LOOKS)
      throw new ConflictError(
        'conflict',
        `trial ${id} of ${trial.by} changes the same (${changes.map(nameOfChange).join(', ')}): confirm it, or cancel it with "margay trial cancel ${id}"`,
      )
    await delay(LOOK_MS, undefined, { signal })
  }
}

/** etcd rounds down to seconds, and takes away what has run out once or twice in a second. */
const ENDING_SECONDS = 1
const LOOK_MS = 200
const MOST_LOOKS = 25

/** Letters and digits that nobody takes for another. */
const ID_LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789'

function newId(): string {
  return Array.from({ length: 4 }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]).join('')
}

interface Said {
  readonly hosts: readonly string[]
  readonly answers: readonly TrialHost[]
}

async function hearHosts(
  store: Store,
  { id, revision, nodes, seconds }: Started & { readonly nodes: ReadonlySet<string> | undefined; readonly seconds: number },
  signal: AbortSignal,
): Promise<Said> {
  const hosts = (await liveHosts(store, signal)).filter((node) => nodes === undefined || nodes.has(node))
  const answers = new Map<string, TrialHost>()
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), seconds * 1000)
  if (hosts.length === 0) stop.abort()
  try {
    for await (const { events } of store.watch(trialHostsPrefix(id), revision + 1, AbortSignal.any([signal, stop.signal]))) {
      for (const { entry } of events) {
        const answer = entry && decodeTrialHost(entry.value)
        if (answer !== undefined) answers.set(answer.node, answer)
      }
      if (hosts.every((host) => answers.has(host))) stop.abort()
    }
  } finally {
    clearTimeout(timer)
  }
  return { hosts, answers: [...answers.values()].filter(({ node }) => hosts.includes(node)) }
}

async function reportStart(
  store: Store,
  context: Context,
  { id, lease }: Started,
  { hosts, answers }: Said,
  seconds: number,
): Promise<ExitCode> {
  const refusing = answers.filter(({ state }) => state === 'refused')
  const silent = hosts.filter((host) => !answers.some(({ node }) => node === host))
  const running = answers.length - refusing.length
  const lines = [
    hosts.length === 0
      ? `trial ${id}: no host that it concerns is alive`
      : `trial ${id}: running on ${running} of ${hosts.length} ${hosts.length === 1 ? 'host' : 'hosts'}`,
    ...refusing.map(({ node, reasons }) => `  ${node} refuses it and keeps the policy that it has: ${reasons.join('; ')}`),
    ...silent.map((node) => `  ${node} did not answer within ${seconds} s`),
  ]
  const left = await store.leaseSeconds(lease, context.signal)
  lines.push(
    left === undefined
      ? 'it is over: the policy that was is back'
      : `the policy that was returns in ${left} s, unless you confirm: margay confirm ${id}`,
  )
  context.out(`${lines.join('\n')}\n`)
  return running === hosts.length && left !== undefined ? 0 : 3
}
