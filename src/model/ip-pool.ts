import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { cidrsOverlap, isCidr, lengthOf, parseCidr } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import { cidrField, type DeepReadonly, defaultsTo, selectorField, zeroIsAbsent } from './fields.ts'
import type { Resource } from './resource.ts'
import { enforced, later } from './tags.ts'

const encapsulation = defaultsTo('Never', z.enum(['Never', 'Always', 'CrossSubnet']))
const flag = defaultsTo(false, zeroIsAbsent(z.boolean()))

/** The spec of an IPPool: a range for workloads and tunnels, and how its packets get from host to host. */
export const ipPoolSpecSchema = z.object({
  cidr: enforced('The range, without host bits; not link-local, not overlapping another pool. It never changes.', cidrField),
  vxlanMode: enforced('Wrap packets between hosts in VXLAN: always, or only to hosts in other subnets.', encapsulation).optional(),
  ipipMode: later('As vxlanMode, with IP-in-IP; IPv4 only, and only one of the two.', encapsulation).optional(),
  natOutgoing: enforced('Packets that leave all pools get the address of the host.', flag).optional(),
  disabled: enforced('No new addresses and blocks; what has been given out goes on.', flag).optional(),
  disableBGPExport: later('Tell no BGP peer of the routes of this pool.', flag).optional(),
  blockSize: enforced(
    'Prefix length of the blocks that hosts take: 20 to 32, by default 26; IPv6 116 to 128, by default 122. It never changes.',
    zeroIsAbsent(z.number().int()),
  ).optional(),
  nodeSelector: enforced('The hosts that may take blocks, by the labels of their Nodes.', defaultsTo('all()', selectorField)).optional(),
  namespaceSelector: later('The namespaces whose workloads may get addresses.', selectorField).optional(),
  allowedUses: enforced(
    'What addresses are for; LoadBalancer stands alone. Beside namespaceSelector Workload alone, because tunnels are in no namespace.',
    defaultsTo(['Workload', 'Tunnel'], z.array(z.enum(['Workload', 'Tunnel', 'LoadBalancer']))),
  ).optional(),
  assignmentMode: enforced(
    'Manual: addresses only for those who ask for this pool.',
    defaultsTo('Automatic', z.enum(['Automatic', 'Manual'])),
  ).optional(),
})

/** What a Kubernetes controller says of a pool. */
export const ipPoolStatusSchema = z.object({
  conditions: z
    .array(
      z.looseObject({
        type: enforced('What is told, such as `Allocatable`.', z.string()),
        status: enforced('`True`, `False` or `Unknown`; of a pool whose `Allocatable` is `False` no address is given out.', z.string()),
      }),
    )
    .optional(),
})

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

/** The spec with Calico's defaults. Tunnels are in no namespace: a pool for namespaces is for workloads, unless it says another use. */
export function defaultIPPoolSpec(spec: IPPoolSpec): IPPoolSpec {
  const allowedUses = spec.allowedUses ?? []
  const uses = spec.namespaceSelector === undefined ? (['Workload', 'Tunnel'] as const) : (['Workload'] as const)
  return {
    ...spec,
    vxlanMode: spec.vxlanMode ?? 'Never',
    ipipMode: spec.ipipMode ?? 'Never',
    blockSize: spec.blockSize ?? defaultBlockSize(familyOf(spec.cidr)),
    nodeSelector: spec.nodeSelector ?? 'all()',
    allowedUses: allowedUses.length === 0 ? uses : allowedUses,
    assignmentMode: spec.assignmentMode ?? 'Automatic',
  }
}

/** What is wrong with a pool by itself; pools.ts compares it with others. */
export function checkIPPool(pool: IPPool): readonly Issue[] {
  return [...checkCidr(pool), ...checkEncapsulation(pool.spec), ...checkUses(pool.spec)]
}

const LINK_LOCAL = ['169.254.0.0/16', 'fe80::/10'].map(parseCidr)

function checkCidr(pool: IPPool): readonly Issue[] {
  const { cidr, disabled } = pool.spec
  const issues: Issue[] = []
  if (!isCidr(cidr)) return issues
  for (const range of LINK_LOCAL) {
    if (cidrsOverlap(cidr, range)) issues.push({ path: 'spec.cidr', message: `${cidr} overlaps the link-local range ${range}` })
  }
  const blockSize = blockSizeOf(pool)
  const [low, high] = familyOf(cidr) === 4 ? [20, 32] : [116, 128]
  if (blockSize < low || blockSize > high) {
    issues.push({ path: 'spec.blockSize', message: `${blockSize} is out of range: ${low} to ${high} for IPv${familyOf(cidr)}` })
  } else if (lengthOf(cidr) > blockSize && disabled !== true) {
    issues.push({
      path: 'spec.cidr',
      message: `${cidr} is smaller than one block: a prefix length of ${blockSize} or less, or a larger blockSize`,
    })
  }
  return issues
}

function checkEncapsulation(spec: IPPoolSpec): readonly Issue[] {
  const isIpip = (spec.ipipMode ?? 'Never') !== 'Never'
  const isVxlan = (spec.vxlanMode ?? 'Never') !== 'Never'
  const issues: Issue[] = []
  if (isIpip && isCidr(spec.cidr) && familyOf(spec.cidr) === 6) {
    issues.push({ path: 'spec.ipipMode', message: `${show(spec.ipipMode)} on an IPv6 pool: IPIP carries IPv4 only` })
  }
  if (isIpip && isVxlan) {
    issues.push({
      path: 'spec.ipipMode',
      message: `${show(spec.ipipMode)} beside vxlanMode ${show(spec.vxlanMode)}: one of them must be "Never"`,
    })
  }
  return issues
}

function checkUses(spec: IPPoolSpec): readonly Issue[] {
  const uses = spec.allowedUses ?? []
  const path = 'spec.allowedUses'
  if (new Set(uses).size !== uses.length) return [{ path, message: 'names a use twice' }]
  // A pool of an older Calico may have both, and is disabled before it is deleted.
  if (uses.includes('Tunnel') && spec.namespaceSelector !== undefined && spec.disabled !== true) {
    return [{ path, message: 'Tunnel can\'t be beside namespaceSelector, for tunnels are in no namespace: write ["Workload"]' }]
  }
  if (!uses.includes('LoadBalancer')) return []
  const isPlain = (spec.ipipMode ?? 'Never') === 'Never' && (spec.vxlanMode ?? 'Never') === 'Never'
  const issues: Issue[] = []
  if (uses.length > 1) issues.push({ path, message: 'LoadBalancer stands alone, not with Workload or Tunnel' })
  if (!isPlain) issues.push({ path, message: 'LoadBalancer needs ipipMode and vxlanMode "Never"' })
  if (spec.disableBGPExport === true) issues.push({ path, message: 'LoadBalancer needs disableBGPExport false' })
  if ((spec.nodeSelector ?? 'all()') !== 'all()') issues.push({ path, message: 'LoadBalancer needs nodeSelector "all()"' })
  return issues
}

function show(value: string | undefined): string {
  return JSON.stringify(value)
}
