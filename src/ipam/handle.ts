import type { IpamHandle } from '../model/ipam-handle.ts'
import type { Cidr } from '../net/cidr.ts'

/** The handle of a workload: the way to all its addresses. */
export function workloadHandle(namespace: string, name: string): string {
  return `${OWN_HANDLE}${namespace}.${name}`
}

/** Whether it was margay that made the handle, for a workload. */
export function isOwnHandle(handleId: string): boolean {
  return handleId.startsWith(OWN_HANDLE)
}

/** The handle that holds `count` more addresses of a block. */
export function addToHandle(handle: IpamHandle | undefined, block: Cidr, count: number): IpamHandle {
  const blocks = new Map(handle?.blocks)
  blocks.set(block, (blocks.get(block) ?? 0) + count)
  return { ...handle, blocks, deleted: false }
}

/**
 * The handle that holds `count` fewer addresses of a block, or none of it without a count; undefined where nothing is left,
 * and its key goes. Calico may count too many when it is killed, never too few, so a count below zero is no error.
 */
export function takeFromHandle(handle: IpamHandle, block: Cidr, count?: number): IpamHandle | undefined {
  const left = count === undefined ? 0 : (handle.blocks.get(block) ?? 0) - count
  const blocks = new Map(handle.blocks)
  if (left > 0) blocks.set(block, left)
  else blocks.delete(block)
  return blocks.size === 0 ? undefined : { ...handle, blocks }
}

const OWN_HANDLE = 'margay.'
