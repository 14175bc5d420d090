import { hash } from 'node:crypto'
import type { Family } from '../net/ip.ts'
import { type Mac, macFromBytes } from '../net/mac.ts'

/**
 * The MAC address of a node's VXLAN device of one family where its Node record gives none, by Calico's rule, so that every host
 * computes the same: 0x66, then the first 5 bytes of the SHA-1 of the node's name (IPv6: of the name and `-v6`).
 */
export function vtepMac(nodeName: string, family: Family): Mac {
  // In one call, which costs a third less: it is made for every host of the network at start.
  const digest = hash('sha1', family === 4 ? nodeName : `${nodeName}-v6`, 'buffer')
  return macFromBytes(Buffer.concat([Buffer.from([0x66]), digest.subarray(0, 5)]))
}
