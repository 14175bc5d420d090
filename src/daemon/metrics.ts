import type { Ipam } from '../ipam/ipam.ts'
import type { Metric } from '../observe/metrics.ts'
import type { Collector } from './collector.ts'

/** What the daemon measures of itself: at present, of addresses. */
export function daemonMetrics({ collector, ipam }: { readonly collector: Collector; readonly ipam: Ipam }): readonly Metric[] {
  const of = (value: number) => [{ value }]
  return [
    {
      name: 'margay_ipam_leak_candidates',
      help: 'Addresses, blocks, claims and handles that nobody uses, and that are not due yet.',
      type: 'gauge',
      samples: () => of(collector.report.waiting),
    },
    {
      name: 'margay_ipam_collected_total',
      help: 'What nobody used and this host has given back.',
      type: 'counter',
      samples: () => Object.entries(collector.report.collected).map(([what, value]) => ({ labels: { what }, value })),
    },
    {
      name: 'margay_ipam_leader',
      help: 'Whether this host collects for hosts that are gone.',
      type: 'gauge',
      samples: () => of(Number(collector.report.isLeading)),
    },
    {
      name: 'margay_ipam_scan_seconds',
      help: 'How long the last look for leaked addresses took.',
      type: 'gauge',
      samples: () => (collector.report.scanMs === undefined ? [] : of(collector.report.scanMs / 1000)),
    },
    {
      name: 'margay_ipam_scan_failed',
      help: 'Whether the last look for leaked addresses failed.',
      type: 'gauge',
      samples: () => of(Number(collector.report.problem !== undefined)),
    },
    {
      name: 'margay_ipam_commits_total',
      help: 'Transactions of address management.',
      type: 'counter',
      samples: () => of(ipam.counters.commits),
    },
    {
      name: 'margay_ipam_conflicts_total',
      help: 'Transactions that the write of another made void.',
      type: 'counter',
      samples: () => of(ipam.counters.conflicts),
    },
  ]
}
