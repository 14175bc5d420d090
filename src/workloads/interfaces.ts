import { createHash } from 'node:crypto'
import { type Mac, macFromBytes } from '../net/mac.ts'

/** What the names of workloads' interfaces on the host begin with. */
export const WORKLOAD_PREFIX = 'mgy'

/**
 * The MAC of every workload interface's end on the host. All may have the same one: each is a link of its own with two ends.
 * Calico's, so that a workload that is moved finds its gateway under the MAC that it knows.
 */
export const HOST_SIDE_MAC = 'ee:ee:ee:ee:ee:ee' as Mac

/** The interface on the host for the workload of this name: `mgy` and 11 hex digits, 14 of the 15 characters that the kernel takes. */
export function workloadInterface(namespace: string, name: string): string {
  return `${WORKLOAD_PREFIX}${createHash('sha1').update(`${namespace}/${name}`).digest('hex').slice(0, 11)}`
}

/**
 * The MAC of such a workload's end: of our choice, so that the host knows it and can tell when another is used. It follows from the name, so
 * that a workload that comes back is found where it was. Locally administered (IEEE 802, 48-bit universal LAN MAC addresses).
 */
export function workloadMac(namespace: string, name: string): Mac {
  const digest = createHash('sha1').update(`${namespace}/${name}`).digest()
  return macFromBytes(Buffer.concat([Buffer.from([0x0a]), digest.subarray(0, 5)]))
}
