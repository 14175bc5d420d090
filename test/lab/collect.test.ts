// at most 120 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import { httpGet } from '../../scripts/lab/http.ts'
import type { Lab } from '../../scripts/lab/lab.ts'
import type { WorkloadReport } from '../../src/model/own/api.ts'
import { untilReached } from '../support/fault.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/collect')

test('what a host left that is gone is collected by another; what lives stays, and the host may come back', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan', config: { ipam: { leakGraceSeconds: 10 } } }, async (lab) => {
    const [h1, h2] = [lab.daemon('h1'), lab.daemon('h2')]
    const stays = await lab.addWorkload('h1', 'stays')
    await lab.addWorkload('h2', 'goes')
    await h2.stop()
    const before = await keysOf(lab, '/calico/ipam/')
    await lab.etcd.control(['del', '/calico/resources/v3/projectcalico.org/nodes/h2'])
    await lab.etcd.control(['del', '--prefix', '/calico/resources/v3/projectcalico.org/workloadendpoints/default/h2-'])
    const { collector } = await untilStatus(
      h1,
      'what h2 left to be collected',
      ({ collector: at }) => (at?.collected.blocks ?? 0) > 1,
      60_000,
    )
    assert.is(collector?.isLeading, true)
    const left = await keysOf(lab, '/calico/ipam/')
    assert.equal(
      left.filter((key) => /h2|goes/.test(key)),
      [],
      before.join('\n'),
    )
    assert.ok(left.some((key) => key.endsWith('/margay.default.stays')))
    assert.match(succeeded(await h1.margay(['status'])), /Leaks +0 found, \d+ collected, this host collects for hosts that are gone/)
    const { text } = await httpGet(h1.host, 'http://127.0.0.1:9099/metrics')
    assert.match(text, /^margay_ipam_collected_total\{what="addresses"\} [1-9]/m)
    await h2.start()
    const anew = await lab.addWorkload('h2', 'anew')
    await untilReached(anew, stays)
    succeeded(await h2.margay(['workload', 'rm', 'anew']))
    await lab.addWorkload('h2', 'between')
    const again = await h2.post<WorkloadReport>('/v1/workloads', { name: 'anew', namespace: 'default', netns: anew.namespace.path })
    assert.equal(again.addresses, anew.addresses, 'who comes back has the addresses that it had')
  })
})

test.run()

async function keysOf(lab: Lab, prefix: string): Promise<string[]> {
  const text = await lab.etcd.control(['get', prefix, '--prefix', '--keys-only'])
  return text.split('\n').filter((line) => line !== '')
}
