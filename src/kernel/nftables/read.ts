import { KernelError } from '../../errors.ts'
import { type Message, type MessageWriter, NLM_F_DUMP } from '../netlink/message.ts'
import { failureError, type NetlinkSocket } from '../netlink/socket.ts'
import { writeRequest } from './batch.ts'
import {
  decodeChain,
  decodeCounter,
  decodeElements,
  decodeGeneration,
  decodeRule,
  decodeSet,
  decodeTable,
  type ListedCounter,
} from './decode.ts'
import { elementsFrom, type RawElement } from './elements.ts'
import * as nft from './protocol.ts'
import type { Known, KnownChain, KnownRule, KnownSet } from './state.ts'

/** How often a read is begun again because somebody changed the rule set meanwhile. */
const MAX_READS = 20
const ENOENT = 2

/** A socket of protocol NETLINK_NETFILTER and the table in family inet that is read through it. */
export interface Source {
  readonly socket: NetlinkSocket
  readonly table: string
}

/**
 * Reads all of the table at one generation. If the rule set never stands still, the last read counts: a commit that rests on it is
 * refused by the kernel if it is out of date.
 */
export async function readKnown(source: Source, signal: AbortSignal): Promise<Known> {
  for (let round = 1; ; round++) {
    const generation = readGeneration(source.socket)
    const known = await readOnce(source, generation, signal)
    if (known && (round === MAX_READS || readGeneration(source.socket) === generation)) return known
    if (round === MAX_READS) throw new KernelError(`the table inet ${source.table} vanished ${round} times while it was read`)
  }
}

/** The number of the rule set's present state; every commit by anybody to any table raises it by one. Costs 8 us. */
export function readGeneration(socket: NetlinkSocket): number {
  const [message] = ask(socket, nft.MESSAGE.getGeneration, () => {}).messages
  if (!message) throw new KernelError('nf_tables gave no generation')
  return decodeGeneration(message).id
}

/** Reads one chain's rules, for their handles. */
export async function readRules({ socket, table }: Source, chain: string, signal: AbortSignal): Promise<readonly KnownRule[]> {
  const messages = await dump(
    socket,
    nft.MESSAGE.getRule,
    (writer) => {
      writer.text(nft.RULE.table, table)
      writer.text(nft.RULE.chain, chain)
    },
    decodeRule,
    signal,
  )
  return messages.filter((rule) => rule.chain === chain)
}

/** Undefined if something that was listed is gone by the time its content is asked for. */
async function readOnce(source: Source, generation: number, signal: AbortSignal): Promise<Known | undefined> {
  const present = readTable(source)
  const nothing: Known = { generation, exists: false, isDormant: false, chains: new Map(), sets: new Map(), counters: new Set() }
  if (!present) return nothing
  try {
    const chains = await readChains(source, signal)
    const sets = await readSets(source, signal)
    const counters = new Set((await readCounters(source, signal)).map(({ name }) => name))
    return { generation, exists: true, isDormant: present.isDormant, chains, sets, counters }
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENOENT) return undefined
    throw error
  }
}

function readTable({ socket, table }: Source): { readonly isDormant: boolean } | undefined {
  const { messages, failures } = ask(socket, nft.MESSAGE.getTable, (writer) => writer.text(nft.TABLE.name, table))
  const [failure] = failures
  if (failure && failure.errno !== ENOENT) throw failureError(`read the table inet ${table}`, failure)
  const [message] = messages
  return message && decodeTable(message)
}

async function readChains({ socket, table }: Source, signal: AbortSignal): Promise<Map<string, KnownChain>> {
  const listed = await dump(socket, nft.MESSAGE.getChain, (writer) => writer.text(nft.CHAIN.table, table), decodeChain, signal)
  const rules = await dump(socket, nft.MESSAGE.getRule, (writer) => writer.text(nft.RULE.table, table), decodeRule, signal)
  const rulesOf = new Map<string, KnownRule[]>()
  for (const rule of rules) {
    const siblings = rulesOf.get(rule.chain)
    if (siblings) siblings.push(rule)
    else rulesOf.set(rule.chain, [rule])
  }
  // Kernels before 6.9 list the chains of all tables.
  const ours = listed.filter((chain) => chain.table === table)
  return new Map(ours.map(({ name, hook, isAccepting }) => [name, { hook, isAccepting, rules: rulesOf.get(name) ?? [] }]))
}

async function readSets({ socket, table }: Source, signal: AbortSignal): Promise<Map<string, KnownSet>> {
  const listed = await dump(socket, nft.MESSAGE.getSet, (writer) => writer.text(nft.SET.table, table), decodeSet, signal)
  const sets = new Map<string, KnownSet>()
  // Anonymous sets belong to a rule (of somebody else: we make none) and go with it.
  for (const { name, type } of listed.filter((set) => !set.isAnonymous)) {
    const entries = type && !type.isTimed ? await readElements({ socket, table }, name, signal) : []
    sets.set(name, { type, elements: type ? elementsFrom(type, entries) : new Set() })
  }
  return sets
}

/** The named counters of the table with what they have counted, in one dump. */
export async function readCounters({ socket, table }: Source, signal: AbortSignal): Promise<readonly ListedCounter[]> {
  const describe = (writer: MessageWriter) => {
    writer.text(nft.OBJECT.table, table)
    writer.u32be(nft.OBJECT.type, nft.OBJECT_COUNTER)
  }
  const listed = await dump(socket, nft.MESSAGE.getObject, describe, decodeCounter, signal)
  return listed.filter((counter) => counter !== undefined).filter((counter) => counter.table === table)
}

/** The entries of one set. */
export async function readElements({ socket, table }: Source, set: string, signal: AbortSignal): Promise<readonly RawElement[]> {
  const lists = await dump(
    socket,
    nft.MESSAGE.getElement,
    (writer) => {
      writer.text(nft.ELEMENT_LIST.table, table)
      writer.text(nft.ELEMENT_LIST.set, set)
    },
    decodeElements,
    signal,
  )
  return lists.flat()
}

function ask(socket: NetlinkSocket, type: number, content: (writer: MessageWriter) => void) {
  return socket.request(writeRequest(type, 0, content))
}

async function dump<T>(
  socket: NetlinkSocket,
  type: number,
  content: (writer: MessageWriter) => void,
  decode: (message: Message) => T,
  signal: AbortSignal,
): Promise<T[]> {
  signal.throwIfAborted()
  const found: T[] = []
  const restart = () => {
    found.length = 0
  }
  await socket.dump(writeRequest(type, NLM_F_DUMP, content), (message) => found.push(decode(message)), restart, TO_THE_END)
  return found
}

/** A dump that is broken off leaves its rest in the socket, where the next one would stumble over it; one takes milliseconds. */
const TO_THE_END = new AbortController().signal
