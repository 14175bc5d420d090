import { chunksOf } from '../ipam/block-writes.ts'
import { type Collectable, identityOf } from '../ipam/candidates.ts'
import { type Change, fence } from '../ipam/context.ts'
import type { Finding, Repair } from '../ipam/findings.ts'
import type { Ipam } from '../ipam/ipam.ts'
import { liveKey, resourceKey } from '../model/keys.ts'
import type { Leadership } from '../store/election.ts'

/** What is this host's to collect, but for addresses of workloads that still stand here, by their handles. */
export function collectableHere(findings: readonly Finding[], node: string, standing: ReadonlySet<string>): readonly Collectable[] {
  return collectable(findings).filter(({ collector, repair }) => {
    const isStanding = repair.action === 'release-address' && standing.has(repair.handleId ?? '')
    return collector.by === 'host' && collector.node === node && !isStanding
  })
}

/** What is the leader's to collect. */
export function collectableByLeader(findings: readonly Finding[]): readonly Collectable[] {
  return collectable(findings).filter(({ collector }) => collector.by === 'leader')
}

/** Those of the findings that are due. */
export function confirm(findings: readonly Collectable[], due: readonly Collectable[]): readonly Collectable[] {
  const wanted = new Set(due.map(({ repair }) => identityOf(repair)))
  return findings.filter(({ repair }) => wanted.has(identityOf(repair)))
}

/** Collects what was confirmed a moment ago; gives what was done. Each write is void if what it relies on is no longer so. */
export async function collect(
  ipam: Ipam,
  confirmed: readonly Collectable[],
  leadership: Leadership | undefined,
  signal: AbortSignal,
): Promise<ReadonlySet<Repair>> {
  const done = new Set<Repair>()
  for (const [collector, repairs] of groupByCollector(confirmed)) {
    for (const chunk of chunksOf(repairs, AT_ONCE)) {
      const outcome = await ipam.repair(chunk, fencesOf(collector, leadership), signal)
      for (const repair of outcome.done) done.add(repair)
    }
  }
  return done
}

/** Between so many, workloads that want addresses have their turn. */
const AT_ONCE = 20

function collectable(findings: readonly Finding[]): readonly Collectable[] {
  return findings.flatMap((finding) => (finding.repair === undefined ? [] : [{ ...finding, repair: finding.repair }]))
}

type Group = { readonly by: 'host' } | { readonly by: 'leader'; readonly gone: string | undefined }

function groupByCollector(findings: readonly Collectable[]): Iterable<readonly [Group, readonly Repair[]]> {
  const groups = new Map<string, readonly [Group, Repair[]]>()
  for (const { collector, repair } of findings) {
    const gone = collector.by === 'leader' ? collector.gone : undefined
    const key = `${collector.by} ${gone ?? ''}`
    const group = groups.get(key) ?? [collector.by === 'leader' ? { by: 'leader', gone } : { by: 'host' }, []]
    group[1].push(repair)
    groups.set(key, group)
  }
  return groups.values()
}

/** A host that comes back has its Node or its sign of life first; and nobody collects for others who does not lead. */
function fencesOf(group: Group, leadership: Leadership | undefined): readonly Change[] {
  if (group.by === 'host' || leadership === undefined) return []
  const leads = fence(leadership.key, leadership.revision)
  return group.gone === undefined ? [leads] : [leads, fence(resourceKey('Node', group.gone), 0), fence(liveKey(group.gone), 0)]
}
