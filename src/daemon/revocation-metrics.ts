import type { RevocationReport } from '../model/own/api.ts'
import type { Metric } from '../observe/metrics.ts'

/** What Prometheus is told of flows that policy denies: how many were ended, by what, and how many go on. */
export function revocationMetrics(counts: () => ReadonlyMap<string, number>, report: () => RevocationReport): readonly Metric[] {
  return [
    {
      name: 'margay_flows_ended_total',
      help: 'Open flows that were ended because policy denies them now.',
      type: 'counter',
      samples: () => [...counts()].map(([by, value]) => ({ labels: { by }, value })),
    },
    {
      name: 'margay_flows_tolerated',
      help: 'Open flows that go on although a host endpoint denies them, because they were there before it.',
      type: 'gauge',
      samples: () => [{ value: report().tolerated }],
    },
  ]
}
