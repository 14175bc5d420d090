import * as z from 'zod'
import type { Cidr } from '../net/cidr.ts'
import { cidrField } from './fields.ts'
import type { BlockAffinity } from './ipam-affinity.ts'
import type { IpamConfig } from './ipam-config.ts'
import type { IpamHandle } from './ipam-handle.ts'
import { parseAs } from './issues.ts'
import { parseJson, stringifyJson } from './json.ts'

const affinitySchema = z.looseObject({
  state: z.enum(['', 'pending', 'confirmed', 'pendingDeletion']).nullish(),
  deleted: z.boolean().nullish(),
})

const handleSchema = z.looseObject({
  block: z.record(cidrField, z.number().int()).nullish(),
  deleted: z.boolean().nullish(),
})

const configSchema = z.looseObject({
  strict_affinity: z.boolean().nullish(),
  auto_allocate_blocks: z.boolean().nullish(),
  maxBlocksPerHost: z.number().int().nullish(),
  ipCooldownSeconds: z.number().int().nullish(),
})

/**
 * An affinity as it stands in the store; an empty value and `{}` are old writers' "confirmed".
 *
 * @throws {ValidationError} with every issue
 */
export function decodeAffinity(text: string): BlockAffinity {
  const { state, deleted, ...unknown } = parseAs('a block affinity', affinitySchema, parseJson(text.trim() === '' ? '{}' : text))
  return { state: state || 'confirmed', deleted: deleted ?? false, ...keep(unknown) }
}

/** The JSON text of an affinity in Go's order. */
export function encodeAffinity(affinity: BlockAffinity): string {
  return stringifyJson({ state: affinity.state, deleted: affinity.deleted, ...affinity.unknown })
}

/**
 * A handle as it stands in the store.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeHandle(text: string): IpamHandle {
  const { block, deleted, ...unknown } = parseAs('an IPAM handle', handleSchema, parseJson(text))
  return { blocks: new Map(Object.entries(block ?? {}) as [Cidr, number][]), deleted: deleted ?? false, ...keep(unknown) }
}

/** The JSON text of a handle in Go's order. */
export function encodeHandle(handle: IpamHandle): string {
  const block = Object.fromEntries([...handle.blocks].sort(([a], [b]) => (a < b ? -1 : 1)))
  return stringifyJson({ block, deleted: handle.deleted, ...handle.unknown })
}

/**
 * The configuration of address management as it stands in the store. What is missing is false or 0, not the default.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeIpamConfig(text: string): IpamConfig {
  const { strict_affinity, auto_allocate_blocks, maxBlocksPerHost, ipCooldownSeconds, ...unknown } = parseAs(
    'an IPAM configuration',
    configSchema,
    parseJson(text),
  )
  return {
    strictAffinity: strict_affinity ?? false,
    autoAllocateBlocks: auto_allocate_blocks ?? false,
    maxBlocksPerHost: maxBlocksPerHost ?? 0,
    ipCooldownSeconds: ipCooldownSeconds ?? 0,
    ...keep(unknown),
  }
}

/** The JSON text of the configuration in Go's order, without what Go leaves out. */
export function encodeIpamConfig(config: IpamConfig): string {
  return stringifyJson({
    strict_affinity: config.strictAffinity || undefined,
    auto_allocate_blocks: config.autoAllocateBlocks || undefined,
    maxBlocksPerHost: config.maxBlocksPerHost || undefined,
    ipCooldownSeconds: config.ipCooldownSeconds || undefined,
    ...config.unknown,
  })
}

function keep(unknown: Readonly<Record<string, unknown>>) {
  return Object.keys(unknown).length === 0 ? {} : { unknown }
}
