import type { Block } from '../model/ipam-block.ts'
import { cidrOf } from '../net/cidr.ts'
import { familyOf, type Ip } from '../net/ip.ts'
import type { IpamContext } from './context.ts'
import { blocks } from './records.ts'

/** The prefix lengths that blocks may have (IPPool.spec.blockSize), from the usual one outwards. */
const BLOCK_SIZES = {
  4: [26, 20, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31, 32],
  6: [122, 116, 117, 118, 119, 120, 121, 123, 124, 125, 126, 127, 128],
}

/** The block that holds an address, whatever its size and its pool: the pool may be gone, or made anew with another block size. */
export async function findBlock(context: IpamContext, ip: Ip, signal: AbortSignal): Promise<Block | undefined> {
  const sizes = BLOCK_SIZES[familyOf(ip)]
  const found = await Promise.all(sizes.map((size) => blocks.read(context.store, [cidrOf(ip, size)], signal)))
  return found.find(({ value }) => value !== undefined)?.value
}
