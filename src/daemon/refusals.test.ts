import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { KernelError } from '../errors.ts'
import type { About } from '../model/own/ask.ts'
import { type Failure, LinkMissing } from '../reconcile/reconciler.ts'
import { concernedFailures } from './refusals.ts'

const test = suite('daemon/refusals')

const refused = new KernelError('operation not supported')
/** The interface of an endpoint of another program is not there, a tunnel can't be made, and so can't a chain. */
const FAILURES: readonly Failure[] = [
  { table: 'routes', key: '254 192.0.2.1/32 0', error: new LinkMissing('tap0', refused) },
  { table: 'neighbours', key: 'tap0 192.0.2.1', error: new LinkMissing('tap0', refused) },
  { table: 'links', key: 'margay.vxlan', error: refused },
  { table: 'policy', key: 'chain x', error: refused },
]
const WORKLOADS = {
  links: new Map([['tap0', 'default/h1-other-w-eth0']]),
  linkOfRoute: (key: string) => (key === '254 192.0.2.1/32 0' ? 'tap0' : undefined),
}

const cases: readonly { readonly name: string; readonly about: About | undefined; readonly want: readonly string[] }[] = [
  { name: 'who does not say what the change is about is told all', about: undefined, want: ['routes', 'neighbours', 'links', 'policy'] },
  { name: 'a policy is held up by rules only', about: { kinds: ['GlobalNetworkPolicy', 'Tier'], endpoints: [] }, want: ['policy'] },
  {
    name: 'a pool is held up by what is not of a workload',
    about: { kinds: ['IPPool', 'Tier'], endpoints: [] },
    want: ['links', 'policy'],
  },
  {
    name: 'an endpoint is held up by its own interface',
    about: { kinds: ['WorkloadEndpoint'], endpoints: ['default/h1-other-w-eth0'] },
    want: ['routes', 'neighbours', 'links', 'policy'],
  },
  {
    name: 'an endpoint is not held up by the interface of another',
    about: { kinds: ['WorkloadEndpoint'], endpoints: ['default/h1-other-v-eth0'] },
    want: ['links', 'policy'],
  },
]
for (const { name, about, want } of cases) {
  test(name, () => {
    const { own, others } = concernedFailures(FAILURES, about, WORKLOADS)
    assert.equal(
      own.map(({ table }) => table),
      want,
    )
    assert.is(others, FAILURES.length - want.length)
  })
}

test.run()
