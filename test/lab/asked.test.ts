// at most 240 s
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, run, until } from '../../scripts/lab/command.ts'
import type { Explanation } from '../../src/cli/explain-render.ts'
import type { Plan } from '../../src/cli/plan-render.ts'
import { addressOf } from '../support/fault.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/asked')

const DENIED = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: closed, namespace: default}
spec: {selector: "app == 'w2'", types: [Ingress], ingress: [{action: Deny, protocol: ICMP}, {action: Allow}]}
`

const HOST_ENDPOINT = `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h1-eth0}
spec: {node: h1, interfaceName: eth0}
`

function ping(place: Place, address: string): Promise<string> {
  return run(place, ['ping', '-q', '-c', '1', '-W', '2', address])
}

test('hosts say themselves what a change would cut and what becomes of a packet; one that is silent is judged by the store after 5 s', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain' }, async (lab) => {
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
    // What is open before a host endpoint goes on; what a change denies later is cut.
    const [near, far] = [lab.daemon('h1').host, lab.daemon('h2').host]
    await ping(far, near.ipv4)
    const added = await plan(HOST_ENDPOINT)
    const older = added.plan.hosts[0]?.changes.tolerated?.find(({ protocol }) => protocol === 1)
    assert.equal([added.code, older?.goesOn, older?.destination.address], [0, 'it is older than host endpoint h1-eth0', near.ipv4])
    // Where connections are not ended none is cut, as long as that is so.
    for (const revokeEstablished of [false, true]) {
      const path = join(far.folder, 'etc/config.json')
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), policy: { revokeEstablished } }))
      succeeded(await lab.daemon('h2').margay(['reload']))
      await ping(w1.namespace, addressOf(w2))
      const spared = await plan(DENIED)
      assert.equal([spared.code, spared.plan.cut > 0, spared.plan.tolerated > 0], revokeEstablished ? [4, true, false] : [0, false, true])
    }
    const explain = async (...words: readonly string[]) => {
      const { code, stdout } = await lab.daemon('h1').margay(['explain', ...words, '--family', '4', '--json'])
      return { code, explanation: JSON.parse(stdout) as Explanation }
    }
    const open = await explain('default/w1', 'default/w2')
    assert.equal([open.code, open.explanation.basis, open.explanation.answered], [0, 'hosts', ['h1', 'h2']])
    const [flow] = open.explanation.flows
    // The workloads' own interfaces carry what the tunnel of either family does.
    assert.equal([flow?.mtuBytes, flow?.hosts.map(({ basis }) => basis)], [1430, ['host', 'host']])
    assert.equal(flow?.assumptions, ['uplinks carry 1500 bytes, and no destination NAT is on the way'])
    const outside = await explain('203.0.113.9', 'node/h1', 'tcp', '80')
    assert.equal([outside.explanation.basis, outside.explanation.flows[0]?.hosts[0]?.in], ['hosts', 'eth0'])
    succeeded(await lab.daemon('h1').margay(['apply', '-f', '-'], DENIED))
    const closed = await explain('default/w1', 'default/w2')
    assert.equal([closed.code, closed.explanation.basis], [3, 'hosts'])
    assert.match(closed.explanation.flows[0]?.because ?? '', /^h2, to-workload: NetworkPolicy default\/closed, ingress rule 0: Deny ICMP$/)
    process.kill(lab.daemon('h2').pid(), 'SIGSTOP')
    try {
      const begin = performance.now()
      const silent = await plan(DENIED.replace('name: closed', 'name: closed2'))
      assert.ok(performance.now() - begin < 9000)
      assert.equal([silent.code, silent.plan.answered, silent.plan.hosts[1]?.countsAsCut], [4, 1, true])
      assert.is(silent.plan.hosts[1]?.because, 'did not answer within 5 s')
      const partly = await lab.daemon('h1').margay(['explain', 'default/w1', 'default/w2'])
      assert.match(partly.stdout, /\nanswered by h1; h2 did not answer within 5 s: computed from the store at revision \d+\n/)
    } finally {
      process.kill(lab.daemon('h2').pid(), 'SIGCONT')
    }
  })
})

test.run()
