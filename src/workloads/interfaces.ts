import { createHash } from 'node:crypto'
import type { Mac } from '../net/mac.ts'

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
