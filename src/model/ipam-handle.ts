import type { Cidr } from '../net/cidr.ts'

/** How many addresses of which blocks a handle holds; its id is in the key. Never fewer than the blocks say, sometimes more. */
export interface IpamHandle {
  readonly blocks: ReadonlyMap<Cidr, number>
  readonly deleted: boolean
  /** Members that this version does not know. */
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}
