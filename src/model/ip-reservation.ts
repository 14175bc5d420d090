import * as z from 'zod'
import { type Cidr, parseCidrLoosely } from '../net/cidr.ts'
import { type DeepReadonly, netField } from './fields.ts'
import type { Resource } from './resource.ts'
import { enforced } from './tags.ts'

/** The spec of an IPReservation. */
export const ipReservationSpecSchema = z.object({
  reservedCIDRs: enforced(
    'Addresses and prefixes that no workload and no tunnel gets by itself; asking for one by its address still gives it.',
    z.array(netField),
  ).optional(),
})

export type IPReservationSpec = DeepReadonly<z.infer<typeof ipReservationSpecSchema>>

/** Addresses that are not given out by themselves. What has been given out already stays. */
export type IPReservation = Resource<'IPReservation', IPReservationSpec>

/** The reserved ranges with their host bits masked; one address is a /32 or a /128. */
export function reservedCidrs(reservation: IPReservation): readonly Cidr[] {
  return (reservation.spec.reservedCIDRs ?? []).map(parseCidrLoosely)
}
