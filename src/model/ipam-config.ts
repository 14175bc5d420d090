/** What allocation of addresses obeys, under `/calico/ipam/v2/config`. */
export interface IpamConfig {
  /** A host takes addresses only from its own blocks. */
  readonly strictAffinity: boolean
  /** A host may claim a new block by itself. */
  readonly autoAllocateBlocks: boolean
  /** 0: 20. */
  readonly maxBlocksPerHost: number
  /** How long a released address is not given out again. */
  readonly ipCooldownSeconds: number
  /** Members that this version does not know. */
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}

/** What holds when the key is not there. When it is there, a member that is missing is false or 0. */
export const DEFAULT_IPAM_CONFIG: IpamConfig = {
  strictAffinity: false,
  autoAllocateBlocks: true,
  maxBlocksPerHost: 0,
  ipCooldownSeconds: 0,
}
