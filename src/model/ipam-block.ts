import type { Cidr } from '../net/cidr.ts'

/** Who holds addresses of a block: the addresses' entries in `allocations` are indexes of these, and equal holders share one. */
export interface BlockAttribute {
  readonly handleId?: string | undefined
  /** The holder's facts, `node` and `type` among them; Calico's `secondary`. */
  readonly secondary?: Readonly<Record<string, string>> | undefined
  readonly alternateOwnerAttrs?: Readonly<Record<string, string>> | undefined
  /** RFC 3339. Released, but not to be given out yet. */
  readonly releasedAt?: string | undefined
  /** Members that this version does not know. */
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}

/** One block of a pool: which host it belongs to, and who has each of its addresses. The authority on both. */
export interface Block {
  readonly cidr: Cidr
  /** `host:<node>` (or `virtual:<owner>`); absent: nobody's. */
  readonly affinity?: string | undefined
  /** RFC 3339, UTC, seconds. */
  readonly affinityClaimTime?: string | undefined
  /** By ordinal: the index of its holder in `attributes`, or undefined where the address is free. */
  readonly allocations: readonly (number | undefined)[]
  /** Free ordinals, the one to give out next first. */
  readonly unallocated: readonly number[]
  readonly attributes: readonly BlockAttribute[]
  /** Unsigned, 64 bits, begins as nanoseconds since 1970; one more with each change. */
  readonly sequenceNumber: bigint
  /** By ordinal: the block's sequence number when the address was given out. */
  readonly sequenceNumberForAllocation: ReadonlyMap<number, bigint>
  readonly deleted: boolean
  /** Members that this version does not know. */
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}
