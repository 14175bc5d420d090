import { KernelError } from '../../errors.ts'
import { Pace } from '../pace.ts'
import type { Delta, Failures, KernelTable } from '../table.ts'
import { ERRNO } from './constants.ts'
import type { Held } from './held.ts'
import type { LinkIndex } from './link-index.ts'
import { type Message, NLM_F_REPLACE } from './message.ts'
import type { Operation, Rtnetlink } from './rtnetlink.ts'

/** What all rtnetlink tables of one network namespace share. */
export interface NetlinkContext {
  readonly netlink: Rtnetlink
  readonly links: LinkIndex
  /** Takes in all notices that are queued, so that what follows knows the devices as they are. */
  sync(): void
}

/** A kind of object that is put, removed and listed one message each. */
export interface EntryKind<V> {
  /** All that is ours. */
  list(signal: AbortSignal): Promise<readonly V[]>
  keyOf(value: V): string
  /** The link that it hangs on. */
  linkOf(value: V): string | undefined
  /** The messages that make it so. Throws a KernelError for what can't be. */
  put(key: string, value: V): readonly Operation[]
  /** The messages that take it away; none if that is done already. */
  remove(key: string, value: V): readonly Operation[]
  /** Only where the kernel can have several objects under one key: what it is said to hold then, which equals no desired value. */
  severalOf?(value: V): V
  /** Whether what the kernel holds is what is wanted. */
  matches(desired: V, actual: V): boolean
  /** Whether others may refer to it, so that it must be put before them. */
  isFirst?(value: V): boolean
  /** Reads a notice: the key, and what it holds now; undefined if it is not about an object of ours. */
  readNotice(message: Message): Notice<V> | undefined
  readonly held: Held<V>
}

/** What a notice says of one key. */
export interface Notice<V> {
  readonly key: string
  /** Undefined: it is gone. */
  readonly value: V | undefined
}

/** A table that also understands the kernel's notices. */
export interface EntryTable<V> extends KernelTable<V> {
  /** Takes a notice in; gives what is news in it. */
  notice(message: Message): Notice<V> | undefined
  /** We are about to remove a link: that the kernel drops what hangs on it is no news then. */
  forgetLink(name: string): void
}

/** Makes a table of a kind of entries. */
export function createEntryTable<V>(context: NetlinkContext, kind: EntryKind<V>): EntryTable<V> {
  /** Keys under which the kernel holds more than one object, with how many are too many. */
  const surplus = new Map<string, number>()
  return {
    matches: kind.matches,
    notice(message) {
      const notice = kind.readNotice(message)
      if (notice === undefined) return undefined
      const wasHeld = kind.held.has(notice.key)
      if (!kind.held.learn(notice.key, notice.value)) return undefined
      // Something came beside what stood there (`ip route append`): replacing one would leave the other.
      const isBeside = kind.severalOf !== undefined && wasHeld && notice.value !== undefined && (message.flags & NLM_F_REPLACE) === 0
      if (isBeside) surplus.set(notice.key, (surplus.get(notice.key) ?? 0) + 1)
      return notice
    },
    forgetLink: (name) => kind.held.forget((value) => kind.linkOf(value) === name),
    list: (signal) => listEntries(context, kind, surplus, signal),
    async commit(delta, signal) {
      context.sync()
      const failures = await commitOnce(context, kind, surplus, delta, signal)
      const again = retryable(delta, failures)
      if (again.put.size === 0) return failures
      // A device was made anew, and we had not heard of it yet.
      context.links.reload()
      const second = await commitOnce(context, kind, surplus, again, signal)
      for (const key of again.put.keys()) if (!second.has(key)) failures.delete(key)
      return failures
    },
  }
}

/** The link's index, or undefined if there is none: then what hung on it is gone too. */
export function indexIfPresent(links: LinkIndex, name: string): number | undefined {
  return links.find(name)?.index
}

async function listEntries<V>(context: NetlinkContext, kind: EntryKind<V>, surplus: Map<string, number>, signal: AbortSignal) {
  context.sync()
  kind.held.beginList()
  const found = new Map<string, V>()
  surplus.clear()
  for (const value of await kind.list(signal)) {
    const key = kind.keyOf(value)
    const isSecond = kind.severalOf !== undefined && found.has(key)
    if (isSecond) surplus.set(key, (surplus.get(key) ?? 0) + 1)
    found.set(key, isSecond && kind.severalOf ? kind.severalOf(value) : value)
  }
  kind.held.endList(found)
  return found
}

async function commitOnce<V>(
  context: NetlinkContext,
  kind: EntryKind<V>,
  surplus: Map<string, number>,
  delta: Delta<V>,
  signal: AbortSignal,
): Promise<Map<string, KernelError>> {
  const refused = new Map<string, KernelError>()
  const operations: Operation[] = []
  const add = (key: string, make: () => readonly Operation[]) => {
    try {
      for (const operation of make()) operations.push(operation)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      refused.set(key, error)
    }
  }
  const pace = new Pace()
  for (const [key, value] of inOrder(kind, delta.put)) {
    if (pace.isDue) await pace.giveWay()
    add(key, () => [...removeSurplus(kind, surplus, key, value), ...kind.put(key, value)])
  }
  for (const [key, value] of delta.remove) {
    if (pace.isDue) await pace.giveWay()
    add(key, () => [...removeSurplus(kind, surplus, key, value), ...kind.remove(key, value)])
  }
  // Before the first send: notices of what we do come while it is done.
  for (const [key, value] of delta.put) if (!refused.has(key)) kind.held.learn(key, value)
  for (const key of delta.remove.keys()) kind.held.learn(key, undefined)
  const failures = await context.netlink.submit(operations, signal)
  for (const key of failures.keys()) kind.held.learn(key, undefined)
  for (const [key, error] of refused) failures.set(key, error)
  return failures
}

function inOrder<V>(kind: EntryKind<V>, put: ReadonlyMap<string, V>): Iterable<readonly [string, V]> {
  if (kind.isFirst === undefined) return put
  const [first, rest]: [[string, V][], [string, V][]] = [[], []]
  for (const entry of put) (kind.isFirst(entry[1]) ? first : rest).push(entry)
  return [...first, ...rest]
}

function removeSurplus<V>(kind: EntryKind<V>, surplus: Map<string, number>, key: string, value: V): Operation[] {
  const count = surplus.get(key)
  if (count === undefined || kind.severalOf === undefined) return []
  surplus.delete(key)
  const removal = kind.remove(key, kind.severalOf(value))
  return Array.from({ length: count }, () => removal).flat()
}

function retryable<V>(delta: Delta<V>, failures: Failures): Delta<V> {
  const put = new Map([...delta.put].filter(([key]) => failures.get(key)?.errno === ERRNO.ENODEV))
  return { put, remove: new Map() }
}
