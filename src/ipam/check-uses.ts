import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { PrefixMap } from '../net/prefix-map.ts'
import { holderOf } from './block.ts'
import type { Finding } from './findings.ts'
import { type IpamSurvey, unreadableBlocks } from './ipam-survey.ts'
import { ordinalOf } from './ordinals.ts'

/** Addresses that are used and not allocated, that lie in no pool, or that several use; user by user. */
export function* checkUses(survey: IpamSurvey): Generator<readonly Finding[]> {
  const { users } = survey
  const blocks = new PrefixMap<Cidr>()
  for (const cidr of [...survey.blocks.keys(), ...unreadableBlocks(survey)]) {
    blocks.set(cidr, cidr)
    yield []
  }
  const pools = new PrefixMap<string>()
  for (const { name, cidr } of survey.pools) pools.set(cidr, name)
  const first = new Map<Ip, string>()
  for (const { ip, name } of users) {
    const other = first.get(ip)
    if (other !== undefined) {
      yield [finding('shared-address', ip, `${other} and ${name} both use it`)]
      continue
    }
    first.set(ip, name)
    const cidr = blocks.longest(ip)?.value
    const isKept = cidr !== undefined && isAllocated(survey, cidr, ip)
    const isInside = cidr !== undefined || pools.longest(ip) !== undefined
    if (isKept) yield []
    else if (isInside) yield [finding('missing-address', ip, `${name} uses it, and it is not allocated`)]
    else yield [finding('outside-address', ip, `${name} uses it, and it lies in no pool`)]
  }
}

/** Of a block that can't be read, every address may be. */
function isAllocated({ blocks }: IpamSurvey, cidr: Cidr, ip: Ip): boolean {
  const block = blocks.get(cidr)
  return block === undefined || holderOf(block, ordinalOf(cidr, ip)) !== undefined
}

function finding(kind: Finding['kind'], ip: Ip, reason: string): Finding {
  return { kind, subject: ip, reason, collector: { by: 'nobody' } }
}
