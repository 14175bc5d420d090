/** How far a host is with claiming or giving back a block. */
export type AffinityState = 'pending' | 'confirmed' | 'pendingDeletion'

/** That a host claims a block, under a key that names both. The block decides; this is the host's index. */
export interface BlockAffinity {
  readonly state: AffinityState
  readonly deleted: boolean
  /** Members that this version does not know. */
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}
