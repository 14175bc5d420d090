import * as z from 'zod'
import { ValidationError } from '../errors.ts'
import { type Cidr, lengthOf } from '../net/cidr.ts'
import { addressBits, familyOf } from '../net/ip.ts'
import { cidrField } from './fields.ts'
import type { Block, BlockAttribute } from './ipam-block.ts'
import { parseAs } from './issues.ts'
import { parseJson, stringifyJson } from './json.ts'
import { isObject, type JsonObject } from './shape.ts'

const uint64 = z.union([z.number(), z.bigint()]).transform((value, context) => {
  if (Number.isSafeInteger(value) || typeof value === 'bigint') return BigInt(value)
  context.addIssue({ code: 'custom', message: 'must be a whole number', input: value })
  return z.NEVER
})
const ordinal = z.number().int().nonnegative()
const strings = z.record(z.string(), z.string())

const attributeSchema = z.looseObject({
  handle_id: z.string().nullish(),
  secondary: strings.nullish(),
  alternateOwnerAttrs: strings.nullish(),
  releasedAt: z.string().nullish(),
})

const blockSchema = z.looseObject({
  cidr: cidrField,
  affinity: z.string().nullish(),
  hostAffinity: z.string().nullish(),
  affinity_claim_time: z.string().nullish(),
  allocations: z.array(ordinal.nullable()),
  unallocated: z.array(ordinal).nullable(),
  attributes: z.array(attributeSchema).nullable(),
  sequenceNumber: uint64.nullish(),
  sequenceNumberForAllocation: z.record(z.string().regex(/^\d+$/), uint64).nullish(),
  deleted: z.boolean().nullish(),
})

/**
 * A block as it stands in the store; every digit of its sequence numbers is kept.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeBlock(text: string): Block {
  const raw = parseAs('a block', blockSchema, parseJson(text))
  checkSize(raw.cidr, raw.allocations.length)
  const { cidr, affinity, hostAffinity, affinity_claim_time, allocations, unallocated, attributes, ...rest } = raw
  const { sequenceNumber, sequenceNumberForAllocation, deleted, ...unknown } = rest
  const owner = affinity ?? (hostAffinity ? `host:${hostAffinity}` : undefined)
  return {
    cidr,
    ...(owner === undefined ? {} : { affinity: owner }),
    ...(affinity_claim_time == null ? {} : { affinityClaimTime: affinity_claim_time }),
    allocations: allocations.map((index) => index ?? undefined),
    unallocated: unallocated ?? [],
    attributes: (attributes ?? []).map(decodeAttribute),
    sequenceNumber: sequenceNumber ?? 0n,
    sequenceNumberForAllocation: new Map(Object.entries(sequenceNumberForAllocation ?? {}).map(([key, value]) => [Number(key), value])),
    deleted: deleted ?? false,
    ...(Object.keys(unknown).length === 0 ? {} : { unknown }),
  }
}

/** The JSON text of a block in Go's order. */
export function encodeBlock(block: Block): string {
  const sequence = [...block.sequenceNumberForAllocation].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
  return stringifyJson({
    cidr: block.cidr,
    affinity: block.affinity ?? null,
    affinity_claim_time: block.affinityClaimTime,
    allocations: block.allocations.map((index) => index ?? null),
    unallocated: block.unallocated,
    attributes: block.attributes.map(encodeAttribute),
    sequenceNumber: block.sequenceNumber,
    sequenceNumberForAllocation: Object.fromEntries(sequence),
    deleted: block.deleted,
    ...block.unknown,
  })
}

type RawAttribute = z.infer<typeof attributeSchema>

function decodeAttribute(raw: RawAttribute): BlockAttribute {
  const { handle_id, secondary, alternateOwnerAttrs, releasedAt, ...unknown } = raw
  return {
    ...(handle_id == null ? {} : { handleId: handle_id }),
    ...(secondary == null ? {} : { secondary }),
    ...(alternateOwnerAttrs == null ? {} : { alternateOwnerAttrs }),
    ...(releasedAt == null ? {} : { releasedAt }),
    ...(Object.keys(unknown).length === 0 ? {} : { unknown }),
  }
}

function encodeAttribute(attribute: BlockAttribute): JsonObject {
  const { handleId, secondary, alternateOwnerAttrs, releasedAt, unknown } = attribute
  return {
    handle_id: handleId,
    secondary: withMembers(secondary),
    alternateOwnerAttrs: withMembers(alternateOwnerAttrs),
    releasedAt,
    ...unknown,
  }
}

/** Go leaves out an empty map. */
function withMembers(map: Readonly<Record<string, string>> | undefined): JsonObject | undefined {
  if (map === undefined || !isObject(map) || Object.keys(map).length === 0) return undefined
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function checkSize(cidr: Cidr, count: number): void {
  const bits = addressBits(familyOf(cidr)) - lengthOf(cidr)
  if (bits > 16) throw new ValidationError(`not a block: ${cidr} has 2^${bits} addresses`)
  if (count === 2 ** bits) return
  const message = `${cidr} has ${2 ** bits} addresses, not ${count}`
  throw new ValidationError(`not a block: ${message}`, [{ path: 'allocations', message }])
}
