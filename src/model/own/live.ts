import * as z from 'zod'
import type { Cidr } from '../../net/cidr.ts'
import { cidrField } from '../fields.ts'

/** How the packets of a pool can arrive at a host, as far as that host has built the receiving side. */
export type Receive = 'direct' | 'vxlan'

/**
 * What a running daemon says of its host under `/margay/v1/live/<node>`, with a lease.
 * A lost lease changes status, never routes.
 */
export interface LiveRecord {
  readonly node: string
  /** One per state folder (/var/lib/margay): two hosts with one name are told apart by it. */
  readonly instance: string
  readonly version: string
  /** RFC 3339, UTC. */
  readonly startedAt: string
  /** The underlay addresses, for whoever must tell a person which host this is. */
  readonly addresses: readonly string[]
  /** By pool, the mode whose receiving side stands: a sender moves its routes to a mode when the peer shows it here. */
  readonly receives: Readonly<Record<Cidr, readonly Receive[]>>
}

/** The record as a later version may write it: what this one does not know is left out. */
export const liveRecordSchema = z.object({
  node: z.string(),
  instance: z.string(),
  version: z.string(),
  startedAt: z.string(),
  addresses: z.array(z.string()),
  receives: z.record(
    cidrField,
    z.array(z.string()).transform((given) => given.filter(isReceive)),
  ),
})

function isReceive(given: string): given is Receive {
  return given === 'direct' || given === 'vxlan'
}
