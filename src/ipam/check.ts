import { Slices } from '../store/slices.ts'
import { checkAllocations } from './check-addresses.ts'
import { checkBlockOwners, checkOverlaps } from './check-blocks.ts'
import { checkAffinities, checkHandles } from './check-records.ts'
import { checkUses } from './check-uses.ts'
import type { CheckedAllocation, Finding, FindingKind } from './findings.ts'
import type { IpamSurvey } from './ipam-survey.ts'

/** How much was looked at. */
export interface CheckCounts {
  readonly pools: number
  readonly blocks: number
  readonly allocations: number
  readonly nodes: number
  readonly users: number
  readonly affinities: number
  readonly handles: number
}

/** What a check found. The same survey gives the same result. */
export interface CheckResult {
  readonly revision: number
  readonly counts: CheckCounts
  /** By kind, then as they were met. */
  readonly findings: readonly Finding[]
}

/**
 * Compares who uses addresses with what is allocated, and the records with each other. Gives way to others between blocks, as
 * thousands of them take a while. `onAllocation` is told of each address that is allocated.
 */
export async function checkIpam(survey: IpamSurvey, onAllocation?: (allocation: CheckedAllocation) => void): Promise<CheckResult> {
  const findings: Finding[] = []
  let allocations = 0
  const count = (allocation: CheckedAllocation) => {
    allocations++
    onAllocation?.(allocation)
  }
  const steps = [checkAllocations(survey, count), checkUses(survey), checkBlockOwners(survey), checkOverlaps(survey)]
  steps.push(checkAffinities(survey), checkHandles(survey), checkReadable(survey))
  const slices = new Slices()
  for (const step of steps) {
    for (const found of step) {
      findings.push(...found)
      if (slices.isDue) await slices.giveWay()
    }
  }
  return { revision: survey.revision, counts: countAll(survey, allocations), findings: sortByKind(findings) }
}

function* checkReadable({ unreadable }: IpamSurvey): Generator<readonly Finding[]> {
  for (const { key, reason } of unreadable) yield [{ kind: 'unreadable', subject: key, reason, collector: { by: 'nobody' } }]
}

function countAll({ pools, blocks, nodes, users, affinities, handles }: IpamSurvey, allocations: number): CheckCounts {
  return {
    ...{ pools: pools.length, blocks: blocks.size, allocations, nodes: nodes.size, users: users.length },
    ...{ affinities: affinities?.length ?? 0, handles: handles?.size ?? 0 },
  }
}

const KINDS: readonly FindingKind[] = [
  ...(['leaked-address', 'missing-address', 'foreign-address', 'shared-address', 'outside-address'] as const),
  ...(['invalid-block', 'overlapping-block', 'idle-block', 'orphan-block', 'stale-block'] as const),
  ...(['stale-affinity', 'missing-affinity', 'empty-handle', 'miscounted-handle', 'missing-handle', 'unreadable'] as const),
]

function sortByKind(findings: readonly Finding[]): readonly Finding[] {
  const places = new Map(KINDS.map((kind, place) => [kind, place]))
  return [...findings].sort((a, b) => (places.get(a.kind) ?? 0) - (places.get(b.kind) ?? 0))
}
