import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Metric, renderMetrics } from './metrics.ts'

const test = suite('observe/metrics')

test('metrics are written as Prometheus reads them', () => {
  const metrics: readonly Metric[] = [
    { name: 'margay_a_total', help: 'How many.', type: 'counter', samples: () => [{ value: 3 }] },
    {
      name: 'margay_b_bytes',
      help: 'With a \\ in it.',
      type: 'gauge',
      samples: () => [
        { labels: { what: 'x', why: 'a "b"\\\n' }, value: 0.5 },
        { labels: { what: 'y' }, value: 0 },
      ],
    },
    { name: 'margay_c', help: 'Has none.', type: 'gauge', samples: () => [] },
  ]
  assert.is(
    renderMetrics(metrics),
    [
      ...['# HELP margay_a_total How many.', '# TYPE margay_a_total counter', 'margay_a_total 3'],
      ...['# HELP margay_b_bytes With a \\\\ in it.', '# TYPE margay_b_bytes gauge'],
      ...['margay_b_bytes{what="x",why="a \\"b\\"\\\\\\n"} 0.5', 'margay_b_bytes{what="y"} 0', ''],
    ].join('\n'),
  )
})

test.run()
