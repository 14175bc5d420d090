import * as z from 'zod'
import { type Family, familyOf } from '../net/ip.ts'
import { cidrField, type DeepReadonly, selectorField, zeroIsAbsent } from './fields.ts'
import type { Resource } from './resource.ts'

const encapsulation = z.enum(['Never', 'Always', 'CrossSubnet'])

/** The spec of an IPPool: a range for workloads and tunnels, and how its packets get from host to host. */
export const ipPoolSpecSchema = z.object({
  cidr: cidrField,
  vxlanMode: encapsulation.optional(),
  ipipMode: encapsulation.optional(),
  natOutgoing: zeroIsAbsent(z.boolean()).optional(),
  disabled: zeroIsAbsent(z.boolean()).optional(),
  disableBGPExport: zeroIsAbsent(z.boolean()).optional(),
  blockSize: zeroIsAbsent(z.number().int()).optional(),
  nodeSelector: selectorField.optional(),
  namespaceSelector: selectorField.optional(),
  allowedUses: z.array(z.enum(['Workload', 'Tunnel', 'LoadBalancer'])).optional(),
  assignmentMode: z.enum(['Automatic', 'Manual']).optional(),
})

/** What a Kubernetes controller says of a pool. */
export const ipPoolStatusSchema = z.object({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).optional() })

export type IPPoolSpec = DeepReadonly<z.infer<typeof ipPoolSpecSchema>>
export type IPPoolStatus = DeepReadonly<z.infer<typeof ipPoolStatusSchema>>

/** A range of addresses. A field that is absent has Calico's default: use the functions below. */
export type IPPool = Resource<'IPPool', IPPoolSpec, IPPoolStatus>

/** The prefix length of the pool's blocks: 26 and 122 unless given. */
export function blockSizeOf(pool: IPPool): number {
  return pool.spec.blockSize ?? defaultBlockSize(familyOf(pool.spec.cidr))
}

/** 64 addresses a block in both families. */
export function defaultBlockSize(family: Family): 26 | 122 {
  return family === 4 ? 26 : 122
}

/** Whether new addresses may come from the pool: not disabled, not being deleted, not refused by a controller. */
export function isUsable(pool: IPPool): boolean {
  if (pool.spec.disabled === true || pool.metadata.deletionTimestamp !== undefined) return false
  return !(pool.status?.conditions ?? []).some((condition) => condition.type === 'Allocatable' && condition.status === 'False')
}

/** Whether addresses of the pool may be given for this use; workloads and tunnels unless given. */
export function allowsUse(pool: IPPool, use: 'Workload' | 'Tunnel' | 'LoadBalancer'): boolean {
  const uses = pool.spec.allowedUses ?? []
  return (uses.length === 0 ? ['Workload', 'Tunnel'] : uses).includes(use)
}
