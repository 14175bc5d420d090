import { type Attributes, type Message, readAttributes, readNested, readText } from '../netlink/message.ts'
import type { NftHook } from '../objects.ts'
import { type ElementType, keyOfType } from './element-keys.ts'
import { type RawElement, readElements } from './elements.ts'
import { hashFromUserData } from './hash.ts'
import * as nft from './protocol.ts'

/** A chain as the kernel lists it. */
export interface ListedChain {
  readonly table: string
  readonly name: string
  readonly hook: NftHook | undefined
  readonly isAccepting: boolean
}

/** From a message of a dump of chains. */
export function decodeChain(message: Message): ListedChain {
  const attributes = attributesOf(message)
  return {
    table: readText(attributes.get(nft.CHAIN.table)) ?? '',
    name: readText(attributes.get(nft.CHAIN.name)) ?? '',
    hook: decodeHook(attributes),
    isAccepting: (readU32(attributes.get(nft.CHAIN.policy)) ?? nft.POLICY_ACCEPT) === nft.POLICY_ACCEPT,
  }
}

function decodeHook(attributes: Attributes): NftHook | undefined {
  const nested = readNested(attributes.get(nft.CHAIN.hook))
  const number = readU32(nested.get(nft.HOOK.number))
  const hook = HOOKS.find((name) => nft.HOOK_NUMBERS[name] === number)
  if (!hook) return undefined
  const type = (readText(attributes.get(nft.CHAIN.type)) ?? 'filter') as NftHook['type']
  return { type, hook, priority: nested.get(nft.HOOK.priority)?.readInt32BE(0) ?? 0 }
}

const HOOKS = Object.keys(nft.HOOK_NUMBERS) as NftHook['hook'][]

/** A rule as the kernel lists it; `hash` is empty if we did not write it. */
export interface ListedRule {
  readonly chain: string
  readonly handle: bigint
  readonly hash: string
}

/** From a message of a dump of rules. */
export function decodeRule(message: Message): ListedRule {
  const attributes = attributesOf(message)
  return {
    chain: readText(attributes.get(nft.RULE.chain)) ?? '',
    handle: attributes.get(nft.RULE.handle)?.readBigUInt64BE(0) ?? 0n,
    hash: hashFromUserData(attributes.get(nft.RULE.userData)),
  }
}

/** A set as the kernel lists it; `type` is undefined for one that we never make (a map of addresses, a set that rules write to, without timeouts). */
export interface ListedSet {
  readonly name: string
  readonly isAnonymous: boolean
  readonly type: ElementType | undefined
}

/** From a message of a dump of sets. */
export function decodeSet(message: Message): ListedSet {
  const attributes = attributesOf(message)
  const flags = readU32(attributes.get(nft.SET.flags)) ?? 0
  const key = keyOfType(readU32(attributes.get(nft.SET.keyType)))
  const isMap = (flags & nft.SET_FLAG.map) !== 0
  const isTimed = (flags & nft.SET_FLAG.timeout) !== 0
  const isPlain = (flags & ~(isTimed ? nft.SET_FLAG.timeout | nft.SET_FLAG.dynamic : nft.SET_FLAG.interval | nft.SET_FLAG.map)) === 0
  const isOfOurs = isPlain && (!isMap || readU32(attributes.get(nft.SET.dataType)) === nft.DATA_VERDICT)
  const isInterval = (flags & nft.SET_FLAG.interval) !== 0
  return {
    name: readText(attributes.get(nft.SET.name)) ?? '',
    isAnonymous: (flags & nft.SET_FLAG.anonymous) !== 0,
    type: key && isOfOurs ? { ...key, isInterval, ...(isMap && { isMap }), ...(isTimed && { isTimed }) } : undefined,
  }
}

/** The entries in a message of a dump of one set's elements. */
export function decodeElements(message: Message): RawElement[] {
  return readElements(attributesOf(message).get(nft.ELEMENT_LIST.elements))
}

/** A named counter as the kernel lists it. */
export interface ListedCounter extends CounterValue {
  readonly table: string
  readonly name: string
}

/** What a counter has counted. */
export interface CounterValue {
  readonly packets: number
  readonly bytes: number
}

/** From a message of a dump of named objects; undefined for one of another type. */
export function decodeCounter(message: Message): ListedCounter | undefined {
  const attributes = attributesOf(message)
  if (readU32(attributes.get(nft.OBJECT.type)) !== nft.OBJECT_COUNTER) return undefined
  const value = readNested(attributes.get(nft.OBJECT.content))
  const count = (attribute: number) => Number(value.get(attribute)?.readBigUInt64BE(0) ?? 0n)
  return {
    table: readText(attributes.get(nft.OBJECT.table)) ?? '',
    name: readText(attributes.get(nft.OBJECT.name)) ?? '',
    packets: count(nft.COUNTER.packets),
    bytes: count(nft.COUNTER.bytes),
  }
}

/** From a message of a dump of tables. */
export function decodeTable(message: Message): { readonly name: string; readonly isDormant: boolean } {
  const attributes = attributesOf(message)
  const flags = readU32(attributes.get(nft.TABLE.flags)) ?? 0
  return { name: readText(attributes.get(nft.TABLE.name)) ?? '', isDormant: (flags & nft.TABLE_DORMANT) !== 0 }
}

/** Which generation of the rule set, and in a notification the process that made it. */
export interface Generation {
  readonly id: number
  readonly processId: number
  readonly processName: string
}

/** From an answer to "which generation", or a notification of a new one. */
export function decodeGeneration(message: Message): Generation {
  const attributes = attributesOf(message)
  return {
    id: readU32(attributes.get(nft.GENERATION.id)) ?? 0,
    processId: readU32(attributes.get(nft.GENERATION.processId)) ?? 0,
    processName: readText(attributes.get(nft.GENERATION.processName)) ?? '',
  }
}

/** The name of the table that a notification is about: the same attribute in every kind of message but a new generation's. */
export function tableOf(message: Message): string {
  return readText(attributesOf(message).get(nft.TABLE.name)) ?? ''
}

function attributesOf(message: Message): Attributes {
  return readAttributes(message.payload, nft.NFGENMSG_BYTES)
}

function readU32(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32BE(0)
}
