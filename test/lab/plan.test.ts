import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, run, until } from '../../scripts/lab/command.ts'
import type { Plan } from '../../src/cli/plan-render.ts'
import { addressOf } from '../support/fault.ts'
import { withLab } from '../support/scenario.ts'

const test = suite('lab/plan')

const DENIED = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec: {selector: "app == 'w2'", types: [Ingress], ingress: [{action: Deny, protocol: ICMP}, {action: Allow}]}
`

function ping(place: Place, address: string): Promise<string> {
  return run(place, ['ping', '-q', '-c', '1', '-W', '2', address])
}

test('the open connections of a host are judged by the host, and one that is silent counts as cut after 5 s', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain' }, async (lab) => {
    const [w1, w2] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2', ['--label', 'app=w2'])]
    await until({ what: 'the workloads to talk' }, () => ping(w1.namespace, addressOf(w2)))
    const plan = async (text: string) => {
      const { code, stdout } = await lab.daemon('h1').margay(['plan', '-f', '-', '-o', 'json'], text)
      return { code, plan: JSON.parse(stdout) as Plan }
    }
    const denied = await plan(DENIED)
    assert.equal([denied.code, denied.plan.answered, denied.plan.asked], [4, 2, 2])
    const [h1, h2] = denied.plan.hosts
    assert.equal([h1?.changes.cutTotal, h1?.changes.endpointsTotal, h2?.changes.endpointsTotal], [0, 0, 1])
    const cut = h2?.changes.cut?.find(({ protocol }) => protocol === 1)
    assert.equal([cut?.source.address, cut?.destination.address, cut?.icmp], [addressOf(w1), addressOf(w2), { type: 8, code: 0 }])
    assert.match(
      cut?.because ?? '',
      /^to-workload, workload endpoint default\/.*: NetworkPolicy default\/closed, ingress rule 0: Deny ICMP$/,
    )
    const allowed = await plan(DENIED.replace('Deny', 'Allow'))
    assert.equal([allowed.code, allowed.plan.wouldCut], [0, false])
    process.kill(lab.daemon('h2').pid(), 'SIGSTOP')
    try {
      const begin = performance.now()
      const silent = await plan(DENIED)
      assert.ok(performance.now() - begin < 9000)
      assert.equal([silent.code, silent.plan.answered, silent.plan.hosts[1]?.countsAsCut], [4, 1, true])
      assert.is(silent.plan.hosts[1]?.because, 'did not answer within 5 s')
    } finally {
      process.kill(lab.daemon('h2').pid(), 'SIGCONT')
    }
  })
})

test.run()
