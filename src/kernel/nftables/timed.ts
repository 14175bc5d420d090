import { KernelError } from '../../errors.ts'
import { NLM_F_CREATE } from '../netlink/message.ts'
import { failureError } from '../netlink/socket.ts'
import type { NftSet } from '../objects.ts'
import { Pace } from '../pace.ts'
import { NftBatch } from './batch.ts'
import { type KeyText, keyFromBytes } from './element-keys.ts'
import { ELEMENTS_PER_MESSAGE, writeKeys } from './elements.ts'
import * as nft from './protocol.ts'
import { readElements, type Source } from './read.ts'

/** What becomes of elements of a set with timeouts. */
export interface TimedChange {
  /** They are there from now on for so many milliseconds, whether they were there before or not. */
  /** `isKept`: one that is there keeps the time that it has, which spares two thirds of the work. */
  readonly put?: { readonly elements: readonly KeyText[]; readonly timeoutMs: number; readonly isKept?: boolean }
  readonly remove?: readonly KeyText[]
}

const ENOENT = 2
const ENFILE = 23
/** Of one transaction: it is written and taken in about 3 ms. */
const MESSAGES = 4

/**
 * Writes the change; `onCommit` is called after each transaction, of which there is more than one only with more than 1,600 elements.
 * Nothing here rests on what the rule set was, so that others' changes do not disturb.
 */
export async function writeTimed(
  { socket, table }: Source,
  set: NftSet,
  { put, remove = [] }: TimedChange,
  onCommit: () => void,
): Promise<void> {
  const { newElement: add, delElement: del } = nft.MESSAGE
  const putElements = put?.elements ?? []
  const pace = new Pace()
  // An element that is there keeps its timeout, and one that is not can't be deleted (Linux 5.14): added, it is there in any case.
  for (const [elements, timeoutMs, steps] of [
    [remove, PASSING_MS, [add, del]],
    [putElements, put?.timeoutMs, put?.isKept ? [add] : [add, del, add]],
  ] as const) {
    for (let start = 0; start < elements.length; start += MESSAGES * ELEMENTS_PER_MESSAGE) {
      if (pace.isDue) await pace.giveWay()
      const batch = new NftBatch(() => socket.nextSequence(), ANY_GENERATION, BATCH_BYTES)
      const some = elements.slice(start, start + MESSAGES * ELEMENTS_PER_MESSAGE)
      for (const type of steps) writeMessages(batch, { table, set, type }, some, timeoutMs)
      const { failures, acknowledged, isOverrun } = socket.request(batch.finish())
      const [failure] = failures
      // Without the set nothing is in it.
      if (failure?.errno === ENOENT && elements === remove) break
      if (failure) throw failureError(what(table, set), { errno: failure.errno, text: failure.text ?? EXPLANATIONS[failure.errno] })
      if (isOverrun || acknowledged.size === 0) throw new KernelError(`could not ${what(table, set)}: the kernel's answer was lost`)
      onCommit()
    }
  }
}

/** So much is written without growing. */
const BATCH_BYTES = 128 * 1024

/** The elements with what is left of their time in milliseconds; none where the set is not there. */
export async function readTimed(source: Source, set: NftSet, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  try {
    const entries = await readElements(source, set.name, signal)
    const left = new Map<string, number>()
    const pace = new Pace()
    for (const { key, leftMs = 0 } of entries) {
      left.set(keyFromBytes(set, key), leftMs)
      if (pace.isDue) await pace.giveWay()
    }
    return left
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENOENT) return new Map()
    throw error
  }
}

/** Of an element that is added in order to be deleted. */
const PASSING_MS = 60_000
const ANY_GENERATION = 0

function writeMessages(
  batch: NftBatch,
  { table, set, type }: { readonly table: string; readonly set: NftSet; readonly type: number },
  elements: readonly KeyText[],
  timeoutMs: number | undefined,
): void {
  for (let start = 0; start < elements.length; start += ELEMENTS_PER_MESSAGE) {
    batch.add(set.name, type, type === nft.MESSAGE.newElement ? NLM_F_CREATE : 0, (writer) => {
      writer.text(nft.ELEMENT_LIST.table, table)
      writer.text(nft.ELEMENT_LIST.set, set.name)
      writer.nested(nft.ELEMENT_LIST.elements, () => writeKeys(writer, set, elements.slice(start, start + ELEMENTS_PER_MESSAGE), timeoutMs))
    })
  }
}

function what(table: string, { name }: NftSet): string {
  return `change elements of the set ${JSON.stringify(name)} in the table inet ${table}`
}

const EXPLANATIONS: Readonly<Record<number, string>> = {
  [ENOENT]: 'the set is not there',
  [ENFILE]: 'it has as many elements as it may have',
}
