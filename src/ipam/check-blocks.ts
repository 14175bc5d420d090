import type { Block } from '../model/ipam-block.ts'
import { type Cidr, cidrContains, cidrsOverlap, rangeOf } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { checkBlock, collectGarbage, isEmpty } from './block.ts'
import { ownerOf } from './context.ts'
import type { Finding, FindingKind } from './findings.ts'
import { type IpamSurvey, isGone } from './ipam-survey.ts'
import { addressAt } from './ordinals.ts'

/** Blocks that contradict themselves, whose host is gone, that are nobody's and empty, or that lie in no pool; block by block. */
export function* checkBlockOwners(survey: IpamSurvey): Generator<readonly Finding[]> {
  const nodeOf = new Map<Ip, string | undefined>()
  for (const { ip, node } of survey.users) {
    nodeOf.set(ip, node)
    yield []
  }
  for (const block of survey.blocks.values()) {
    const problems = checkBlock(block, survey.takenAt).map((reason) => note('invalid-block', block, reason))
    const owner = ownerOf(block.affinity)
    const isUsedBy = (host: string) => [...block.allocations.keys()].some((ordinal) => nodeOf.get(addressAt(block.cidr, ordinal)) === host)
    if (owner !== undefined && isGone(survey, owner)) yield [...problems, staleBlock(survey, block, owner, isUsedBy)]
    else if (block.affinity === undefined && isSpent(survey, block)) yield [...problems, idleBlock(block)]
    else if (!survey.pools.some(({ cidr }) => cidrContains(cidr, block.cidr))) yield [...problems, orphanBlock(survey, block, owner)]
    else yield problems
  }
}

/** Blocks that have addresses in common: each address of both can be given out twice. */
export function* checkOverlaps({ blocks }: IpamSurvey): Generator<readonly Finding[]> {
  const sorted = [...blocks.values()]
    .map((block) => ({ block, ...rangeOf(block.cidr) }))
    .sort(
      (a, b) =>
        a.family - b.family || Number(a.first > b.first) - Number(a.first < b.first) || Number(b.last > a.last) - Number(b.last < a.last),
    )
  let widest: Block | undefined
  for (const { block } of sorted) {
    if (widest !== undefined && cidrsOverlap(widest.cidr, block.cidr)) {
      yield [note('overlapping-block', block, `it has addresses in common with block ${widest.cidr}`)]
    } else {
      widest = block
      yield []
    }
  }
}

/** A block that an endpoint of the host still uses is left: whoever removed the Node alone did not mean the endpoint. */
function staleBlock(survey: IpamSurvey, block: Block, host: string, isUsedBy: (host: string) => boolean): Finding {
  const reason = `node ${JSON.stringify(host)}, whose block it is, is gone`
  if (isUsedBy(host)) return note('stale-block', block, `${reason}, and workload endpoints of it use its addresses`)
  if (survey.isObscure(host)) return note('stale-block', block, `${reason}, and a record that may be of it can't be read`)
  const repair = { action: 'release-block', block: block.cidr, host, mustBeEmpty: false } as const
  return { kind: 'stale-block', subject: block.cidr, reason, repair, collector: { by: 'leader', gone: host } }
}

/** What only cools down, and has done so long enough, holds nothing. */
function isSpent({ takenAt, cooldownSeconds }: IpamSurvey, block: Block): boolean {
  return isEmpty(collectGarbage(block, takenAt, cooldownSeconds))
}

function idleBlock({ cidr, sequenceNumber }: Block): Finding {
  const repair = { action: 'delete-block', block: cidr, sequenceNumber } as const
  return { kind: 'idle-block', subject: cidr, reason: "it is empty and nobody's", repair, collector: { by: 'leader' } }
}

function orphanBlock(survey: IpamSurvey, block: Block, owner: string | undefined): Finding {
  if (owner === undefined) return note('orphan-block', block, 'it lies in no pool, and its addresses are held')
  const name = JSON.stringify(owner)
  if (!isSpent(survey, block)) return note('orphan-block', block, `it lies in no pool, belongs to node ${name}, and its addresses are held`)
  const repair = { action: 'release-block', block: block.cidr, host: owner, mustBeEmpty: true } as const
  const reason = `it lies in no pool, belongs to node ${name}, and is empty`
  return { kind: 'orphan-block', subject: block.cidr, reason, repair, collector: { by: 'host', node: owner } }
}

function note(kind: FindingKind, { cidr }: { readonly cidr: Cidr }, reason: string): Finding {
  return { kind, subject: cidr, reason, collector: { by: 'nobody' } }
}
