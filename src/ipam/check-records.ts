import type { Block } from '../model/ipam-block.ts'
import type { Cidr } from '../net/cidr.ts'
import { holderOf } from './block.ts'
import { ownerOf } from './context.ts'
import type { Collector, Finding, FindingKind } from './findings.ts'
import { isOwnHandle } from './handle.ts'
import { type IpamSurvey, isGone, type SurveyedAffinity, type SurveyedHandle, unreadableBlocks } from './ipam-survey.ts'
import { tunnelNodeOf } from './tunnel-address.ts'

/** Claims of blocks that are another's or don't exist, and blocks whose host has no claim. */
export function* checkAffinities(survey: IpamSurvey): Generator<readonly Finding[]> {
  if (survey.affinities === undefined) return
  const claimed = new Set(survey.affinities.map(({ host, cidr }) => `${host} ${cidr}`))
  const unreadable = unreadableBlocks(survey)
  for (const affinity of survey.affinities) yield unreadable.has(affinity.cidr) ? [] : checkAffinity(survey, affinity)
  for (const { cidr, affinity } of survey.blocks.values()) {
    const owner = ownerOf(affinity)
    if (owner === undefined || claimed.has(`${owner} ${cidr}`) || isGone(survey, owner)) yield []
    else yield [note('missing-affinity', cidr, `node ${JSON.stringify(owner)}, whose block it is, has no affinity for it`)]
  }
}

/** Handles that hold nothing, that count wrongly, and that have no record. */
export function* checkHandles(survey: IpamSurvey): Generator<readonly Finding[]> {
  if (survey.handles === undefined) return
  const held = new Map<string, Map<Cidr, number>>()
  for (const block of survey.blocks.values()) {
    for (const [handleId, count] of countByHandle(block)) {
      const counts = held.get(handleId) ?? new Map<Cidr, number>()
      held.set(handleId, counts.set(block.cidr, count))
    }
    yield []
  }
  const unreadable = unreadableBlocks(survey)
  for (const [handleId, handle] of survey.handles) {
    const isKnown = ![...handle.blocks.keys()].some((cidr) => unreadable.has(cidr))
    yield isKnown ? checkHandle(survey, handleId, handle, held.get(handleId) ?? new Map()) : []
  }
  for (const [handleId, counts] of held) {
    if (survey.handles.has(handleId)) continue
    yield [note('missing-handle', handleId, `it holds addresses of ${[...counts.keys()].join(', ')}, and there is no such handle`)]
  }
}

function checkAffinity(survey: IpamSurvey, { host, cidr, state }: SurveyedAffinity): readonly Finding[] {
  const block = survey.blocks.get(cidr)
  const owner = ownerOf(block?.affinity)
  const name = JSON.stringify(host)
  if (owner === host) {
    // A host that is gone loses the affinity with its block.
    if (state === 'confirmed' || isGone(survey, host)) return []
    return [note('stale-affinity', cidr, `node ${name} has left its claim ${state}; the next use completes it`)]
  }
  const why =
    block === undefined ? 'there is no such block' : `it is ${owner === undefined ? "nobody's" : `that of node ${JSON.stringify(owner)}`}`
  const repair = { action: 'release-block', block: cidr, host, mustBeEmpty: true } as const
  const collector: Collector = isGone(survey, host) ? { by: 'leader', gone: host } : { by: 'host', node: host }
  return [{ kind: 'stale-affinity', subject: cidr, reason: `node ${name} claims it (${state}), and ${why}`, repair, collector }]
}

/** Calico counts a handle up before it takes the address: one that holds nothing may be about to. */
function checkHandle(survey: IpamSurvey, handleId: string, handle: SurveyedHandle, held: ReadonlyMap<Cidr, number>): readonly Finding[] {
  if (held.size === 0) {
    const { revision } = handle
    const repair = { action: 'delete-handle', handleId, revision } as const
    return [
      { kind: 'empty-handle', subject: handleId, reason: 'it holds no address', repair, collector: emptyHandleCollector(survey, handleId) },
    ]
  }
  return [...new Set([...handle.blocks.keys(), ...held.keys()])].flatMap((cidr) => {
    const [counted, has] = [handle.blocks.get(cidr) ?? 0, held.get(cidr) ?? 0]
    return counted === has ? [] : [note('miscounted-handle', handleId, `it counts ${counted} addresses of block ${cidr}, and has ${has}`)]
  })
}

function emptyHandleCollector(survey: IpamSurvey, handleId: string): Collector {
  const node = tunnelNodeOf(handleId)
  if (isOwnHandle(handleId)) return { by: 'leader' }
  return node !== undefined && isGone(survey, node) ? { by: 'leader', gone: node } : { by: 'nobody' }
}

function countByHandle(block: Block): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const ordinal of block.allocations.keys()) {
    const handleId = holderOf(block, ordinal)?.handleId
    if (handleId !== undefined) counts.set(handleId, (counts.get(handleId) ?? 0) + 1)
  }
  return counts
}

function note(kind: FindingKind, subject: string, reason: string): Finding {
  return { kind, subject, reason, collector: { by: 'nobody' } }
}
