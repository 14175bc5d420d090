import * as z from 'zod'
import { ValidationError } from '../errors.ts'
import type { ClusterInformation } from '../model/cluster-information.ts'
import { parseAs } from '../model/issues.ts'
import { indentJson, parseJson } from '../model/json.ts'
import type { CheckResult } from './check.ts'
import type { CheckedAllocation, Repair } from './findings.ts'

const allocationSchema = z.looseObject({
  ip: z.string(),
  handle: z.string().optional(),
  sequenceNumber: z.union([z.number().int().nonnegative(), z.bigint()]).transform(BigInt).optional(),
  inUse: z.boolean(),
})

const reportSchema = z.looseObject({
  version: z.string(),
  clusterGUID: z.string(),
  clusterInformationRevision: z.string(),
  allocations: z.record(z.string(), z.array(allocationSchema)),
  leakedHandles: z.array(z.looseObject({ ID: z.string(), Revision: z.string() })).nullish(),
})

/** What of a report decides about a release; calicoctl's reports have the same members. */
export type LeakReport = z.infer<typeof reportSchema>

/** What a report is made of. */
export interface ReportParts {
  /** Of the program that made it. */
  readonly version: string
  readonly cluster: ClusterInformation | undefined
  readonly result: CheckResult
  readonly allocations: readonly CheckedAllocation[]
}

/**
 * The file that `ipam check -o` writes and `ipam release --from-report` takes: JSON with calicoctl's members, and `findings` beside
 * them. Sequence numbers are numbers of 64 bits, as calicoctl writes them.
 */
export function formatReport({ version, cluster, result, allocations }: ReportParts): string {
  const byAddress: Record<string, unknown[]> = {}
  for (const allocation of allocations) byAddress[allocation.ip] = [reportAllocation(allocation)]
  const handles = result.findings.flatMap(({ repair }) => (repair?.action === 'delete-handle' ? [repair] : []))
  return indentJson({
    version,
    clusterGUID: cluster?.spec.clusterGUID ?? '',
    datastoreLocked: cluster?.spec.datastoreReady === false,
    clusterInformationRevision: cluster?.metadata.resourceVersion ?? '',
    clusterType: cluster?.spec.clusterType ?? '',
    allocations: byAddress,
    ...(handles.length === 0 ? {} : { leakedHandles: handles.map(({ handleId, revision }) => reportHandle(handleId, revision)) }),
    findings: result.findings.map(({ kind, subject, reason, collector }) => ({ kind, subject, reason, collector })),
  })
}

/**
 * A report of ours or of calicoctl.
 *
 * @throws {ValidationError} with every issue
 */
export function parseReport(text: string): LeakReport {
  return parseAs('a report of ipam check', reportSchema, parseJson(text))
}

/**
 * What to release by reports: what each of them names as leaked, and a check made now finds leaked still, under the same handle and
 * by the same allocation. More than one report, made some time apart, is proof against what was about to be used.
 *
 * @throws {ValidationError} where a report is of another cluster
 */
export function repairsByReports(
  reports: readonly LeakReport[],
  cluster: ClusterInformation | undefined,
  now: CheckResult,
): readonly Repair[] {
  const guid = cluster?.spec.clusterGUID ?? ''
  for (const { clusterGUID } of reports) {
    if (clusterGUID === guid) continue
    throw new ValidationError(
      `the report is of another cluster: its clusterGUID is ${JSON.stringify(clusterGUID)}, that of this etcd ${JSON.stringify(guid)}`,
    )
  }
  if (reports.length === 0) return []
  const repairs = now.findings.flatMap(({ repair }) => repair ?? [])
  return repairs.filter((repair) => reports.every((report) => isReported(report, repair)))
}

/** An address and its allocation, or a handle that holds nothing and was not written since. Blocks are in no report. */
function isReported({ allocations, leakedHandles }: LeakReport, repair: Repair): boolean {
  if (repair.action === 'delete-handle') {
    return (leakedHandles ?? []).some(({ ID, Revision }) => ID === repair.handleId && Revision === String(repair.revision))
  }
  if (repair.action !== 'release-address') return false
  const { ip, handleId = '', sequenceNumber } = repair
  const isSame = (given: z.infer<typeof allocationSchema>) =>
    !given.inUse && (given.handle ?? '') === handleId && (given.sequenceNumber ?? 0n) === sequenceNumber
  return (allocations[ip] ?? []).some(isSame)
}

function reportAllocation({ ip, handleId, sequenceNumber, attributes, node, isInUse, isBorrowed, users }: CheckedAllocation) {
  const { pod, namespace, type, timestamp } = attributes
  return {
    ip,
    handle: handleId,
    sequenceNumber,
    ...{ pod, namespace, node, type, creationTimestamp: timestamp },
    inUse: isInUse,
    ...(isBorrowed ? { borrowed: true } : {}),
    owners: users,
  }
}

function reportHandle(handleId: string, revision: number) {
  return { ID: handleId, UID: null, Revision: String(revision) }
}
