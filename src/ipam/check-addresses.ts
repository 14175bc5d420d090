import type { Block, BlockAttribute } from '../model/ipam-block.ts'
import type { Ip } from '../net/ip.ts'
import { holderOf } from './block.ts'
import { ownerOf } from './context.ts'
import type { CheckedAllocation, Collector, Finding } from './findings.ts'
import { isOwnHandle } from './handle.ts'
import { type AddressUser, type IpamSurvey, isGone } from './ipam-survey.ts'
import { addressAt } from './ordinals.ts'
import { tunnelNodeOf } from './tunnel-address.ts'

/**
 * Each address that is allocated and that nothing uses, and each that is used on another host than it was given to. Yields often,
 * as all these do, so that whoever collects can give way to others.
 */
export function* checkAllocations(
  survey: IpamSurvey,
  onAllocation: (allocation: CheckedAllocation) => void,
): Generator<readonly Finding[]> {
  const users = new Map<Ip, AddressUser[]>()
  for (const user of survey.users) {
    const group = users.get(user.ip)
    if (group === undefined) users.set(user.ip, [user])
    else group.push(user)
    yield []
  }
  for (const block of survey.blocks.values()) {
    const found: Finding[] = []
    for (const [ordinal, index] of block.allocations.entries()) {
      const holder = index === undefined ? undefined : holderOf(block, ordinal)
      if (holder === undefined) continue
      const ofAddress = users.get(addressAt(block.cidr, ordinal)) ?? []
      const allocation = describe(block, ordinal, holder, ofAddress)
      const leak = ofAddress.length > 0 ? undefined : leakOf(survey, block, allocation)
      onAllocation({ ...allocation, isInUse: leak === undefined })
      if (leak !== undefined) found.push(leakFinding(allocation, leak))
      found.push(...foreignFindings(allocation, ofAddress))
    }
    yield found
  }
}

/** Calico holds addresses on Windows hosts under it, for which there is no endpoint. */
const WINDOWS_HANDLE = 'windows-reserved-ipam-handle'

interface Leak {
  readonly reason: string
  readonly collector: Collector
}

/**
 * Why an address that nothing uses is leaked, and who collects it; undefined where it can't be known to be unused.
 * A host that has its Node collects what margay gave out on it; of a host that is gone the leader collects all. What other
 * agents gave out on a host that is there is theirs, and an address of which nobody knows the host is a person's.
 */
function leakOf(survey: IpamSurvey, block: Block, { node, handleId }: CheckedAllocation): Leak | undefined {
  // A block of something else than a host, such as a load balancer's, has users that are not looked at here.
  if (block.affinity !== undefined && ownerOf(block.affinity) === undefined) return undefined
  if (handleId === WINDOWS_HANDLE || (node !== undefined && survey.isObscure(node))) return undefined
  if (node === undefined) return { reason: 'nothing uses it, and nothing says on which node it was given out', collector: { by: 'nobody' } }
  const name = JSON.stringify(node)
  if (isGone(survey, node)) return { reason: `node ${name} is gone, and nothing uses the address`, collector: { by: 'leader', gone: node } }
  if (handleId !== undefined && tunnelNodeOf(handleId) !== undefined) {
    return { reason: `node ${name} does not have it as a tunnel address`, collector: { by: 'nobody' } }
  }
  const reason = `no workload endpoint has it`
  if (handleId !== undefined && isOwnHandle(handleId))
    return { reason: `${reason}, node ${name} collects it`, collector: { by: 'host', node } }
  return { reason: `${reason}, and it was not margay that gave it out on node ${name}`, collector: { by: 'nobody' } }
}

function leakFinding({ ip, block, handleId, sequenceNumber }: CheckedAllocation, { reason, collector }: Leak): Finding {
  const handle = handleId === undefined ? 'no handle' : `handle ${JSON.stringify(handleId)}`
  const repair = { action: 'release-address', ip, block, ...(handleId === undefined ? {} : { handleId }), sequenceNumber } as const
  return { kind: 'leaked-address', subject: ip, reason: `${handle} holds it, ${reason}`, repair, collector }
}

function foreignFindings({ ip, node }: CheckedAllocation, users: readonly AddressUser[]): readonly Finding[] {
  const isForeign = (user: AddressUser) => user.node !== undefined && node !== undefined && user.node !== node
  return users.filter(isForeign).map((user) => ({
    kind: 'foreign-address',
    subject: ip,
    reason: `${user.name} on node ${JSON.stringify(user.node)} uses it, it was given to node ${JSON.stringify(node)}`,
    collector: { by: 'nobody' },
  }))
}

function describe(block: Block, ordinal: number, holder: BlockAttribute, users: readonly AddressUser[]): CheckedAllocation {
  const { handleId } = holder
  const node = holder.secondary?.['node'] ?? (handleId === undefined ? undefined : tunnelNodeOf(handleId))
  return {
    ip: addressAt(block.cidr, ordinal),
    block: block.cidr,
    handleId,
    sequenceNumber: block.sequenceNumberForAllocation.get(ordinal) ?? 0n,
    attributes: holder.secondary ?? {},
    node,
    isBorrowed: node !== undefined && node !== ownerOf(block.affinity),
    users: users.map(({ name }) => name),
    isInUse: true,
  }
}
