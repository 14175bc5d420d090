import { setTimeout as sleep } from 'node:timers/promises'
import { IpamError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import type { CommitResult, Compare, Store, Write } from '../store/store.ts'

/** What all steps of address management work with. */
export interface IpamContext {
  readonly store: Store
  /** The host for which blocks are claimed and addresses given out. */
  readonly node: string
  readonly log: Logger
  readonly now: () => Date
  readonly counters: IpamCounters
  /** The own block that gave the last address: looked at first, so that full blocks are not read again and again. */
  readonly lastBlock: Map<Family, Cidr>
  /** So long a holder that released its addresses gets them again, if they are free; 0: never. Seconds. */
  readonly stickySeconds: () => number
}

/** What was written since the start, for whoever measures. */
export interface IpamCounters {
  commits: number
  /** Commits that another host's write made void, and that were tried again. */
  conflicts: number
}

/** A key that a transaction reads or writes: it must still be at this revision (0: absent). */
export interface Change {
  readonly key: string
  readonly revision: number
  /** `keep` only compares, undefined removes. */
  readonly value: string | undefined | 'keep'
}

/** How often a change is tried anew when others were faster; as often as Calico does. */
export const MAX_TRIES = 100

/**
 * Writes everything or nothing. Each key is compared with the revision at which it was read, so other writers, Calico's among
 * them, are safe from us and we from them; and because it is one transaction, whoever dies leaves nothing half done.
 */
export async function commitChanges(context: IpamContext, changes: readonly Change[], signal: AbortSignal): Promise<CommitResult> {
  const compares: Compare[] = changes.map(({ key, revision }) => ({ key, modRevision: revision }))
  const result = await context.store.commit(compares, changes.flatMap(toWrite), signal)
  context.counters.commits++
  if (!result.isDone) context.counters.conflicts++
  return result
}

/** A condition that a key is at this revision (0: absent), beside what a write is about: whoever no longer leads writes nothing. */
export function fence(key: string, revision: number): Change {
  return { key, revision, value: 'keep' }
}

/** Whether it was a fence that a commit failed by. */
export function isFencedOff({ isDone, current }: CommitResult, fences: readonly Change[]): boolean {
  return !isDone && fences.some(({ key, revision }) => (current.get(key)?.modRevision ?? 0) !== revision)
}

/**
 * Tries until the attempt gives something else than undefined, with a growing, random pause between.
 *
 * @throws {IpamError} `ipam-busy` after 100 tries
 */
export async function retryConflicts<T>(what: string, signal: AbortSignal, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const result = await attempt()
    if (result !== undefined) return result
    await sleep(1 + Math.random() * Math.min(4 * tries, 100), undefined, { signal })
  }
  throw new IpamError('ipam-busy', `could not ${what}: others changed it ${MAX_TRIES} times in a row; try again`)
}

/** The affinity by which a block belongs to a host. */
export function hostAffinity(node: string): string {
  return `host:${node}`
}

/** The host to which a block with this affinity belongs, if it is a host. */
export function ownerOf(affinity: string | undefined): string | undefined {
  return affinity?.startsWith('host:') ? affinity.slice('host:'.length) : undefined
}

function toWrite(change: Change): readonly Write[] {
  if (change.value === 'keep') return []
  if (change.value !== undefined) return [{ put: change.key, value: change.value }]
  return change.revision === 0 ? [] : [{ remove: change.key }]
}
