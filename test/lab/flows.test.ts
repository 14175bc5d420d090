import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { start, until } from '../../scripts/lab/command.ts'
import { builtProgram, type LabDaemon } from '../../scripts/lab/daemon.ts'
import type { FlowEvent, FlowLine, RuleCount, StatsReport } from '../../src/model/own/flows.ts'
import { untilReached } from '../support/fault.ts'
import { apply, hostEndpoint, portStates } from '../support/policed.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/flows')

async function flows(daemon: LabDaemon, ...args: readonly string[]): Promise<readonly FlowLine[]> {
  const stdout = succeeded(await daemon.margay(['flows', '-o', 'json', ...args]))
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as FlowLine]))
}

async function stats(daemon: LabDaemon, ...args: readonly string[]): Promise<StatsReport> {
  return JSON.parse(succeeded(await daemon.margay(['policy', 'stats', '-o', 'json', ...args]))) as StatsReport
}

const packets = ({ rules }: StatsReport, which: Partial<RuleCount['decider']> & { direction: string }) => {
  const { direction, ...decider } = which
  const found = rules.filter(
    (rule) => rule.direction === direction && Object.entries(decider).every(([key, value]) => rule.decider[key as 'by'] === value),
  )
  return found.map((one) => one.packets)
}

test('what a policy denies, logs, allows and would do is told and counted, with policy, rule, endpoint and direction', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [client, db] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2', ['--label', 'role=db'])]
    await untilReached(client, db)
    const daemon = lab.daemon('h2')
    const web = {
      selector: 'role == "db"',
      types: ['Ingress'],
      ingress: [
        { action: 'Log', protocol: 'TCP', destination: { ports: [80] } },
        { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
        { action: 'Deny', protocol: 'TCP', destination: { ports: [81] } },
      ],
    }
    const staged = {
      kind: 'StagedGlobalNetworkPolicy',
      metadata: { name: 'strict' },
      spec: { ...web, order: 1, ingress: [{ action: 'Deny', protocol: 'TCP' }] },
    }
    const policy = {
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'web', annotations: { 'margay.io/log': 'true' } },
      spec: { ...web, order: 2 },
    }
    await apply(daemon, policy, staged)
    assert.equal(await portStates(client.namespace, db.addresses, 80, 81, 82), { 80: 'open', 81: 'closed', 82: 'closed' })
    const seen = await until({ what: 'all events', deadlineMs: 15_000, everyMs: 50 }, async () => {
      const lines = (await flows(daemon)).filter((line): line is FlowEvent => line.type === 'flow' && line.protocol === 'TCP')
      return lines.length >= 8 ? lines : undefined
    })
    for (const address of db.addresses) {
      const of = seen
        .filter((one) => one.destination === address)
        .map(({ verdict, direction, endpoint, destinationPort, decider }) => {
          const { by, name, rule, tier } = decider
          return `${verdict} ${direction} ${endpoint} ${destinationPort} ${by} ${name} ${rule} ${tier}`
        })
      assert.equal(of.toSorted(), [
        'allow ingress default/w2 80 policy web 1 default',
        'deny ingress default/w2 81 policy web 2 default',
        'deny ingress default/w2 82 tier undefined undefined default',
        'log ingress default/w2 80 policy web 0 default',
      ])
    }
    const counted = await stats(daemon)
    assert.equal(packets(counted, { direction: 'ingress', name: 'web', kind: 'GlobalNetworkPolicy' }), [2, 2, 2])
    assert.equal(packets(counted, { direction: 'ingress', name: 'strict' }), [6])
    assert.equal(packets(counted, { direction: 'ingress', by: 'tier' }), [2])
  })
})

test('staged policies before tracking and before NAT count alone, and nothing else becomes otherwise', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [daemon, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const { ipv4, ipv6 } = daemon.host
    const staged = (name: string, port: number, stage: object) => {
      const ingress = [{ action: 'Deny', protocol: 'TCP', destination: { ports: [22, port] } }]
      const spec = { selector: 'host == "yes"', applyOnForward: true, types: ['Ingress'], ingress, ...stage }
      return { kind: 'StagedGlobalNetworkPolicy', metadata: { name }, spec }
    }
    const open = {
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'open' },
      spec: { selector: 'host == "yes"', types: ['Ingress'], ingress: [{ action: 'Allow' }] },
    }
    const early = [staged('raw', 80, { doNotTrack: true }), staged('nat', 81, { preDNAT: true })]
    await apply(far, hostEndpoint('h1-eth0', { interfaceName: 'eth0' }), open, ...early)
    assert.equal(await portStates(far.host, [ipv4, ipv6], 22, 80, 81), { 22: 'open', 80: 'open', 81: 'open' })
    const report = await stats(daemon)
    assert.equal(packets(report, { direction: 'ingress', name: 'raw' }), [2])
    assert.equal(packets(report, { direction: 'ingress', name: 'nat' }), [2])
  })
})

test('counters outlive the daemon, a host endpoint is told of by its name, and who follows gets each event at once', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [daemon, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const { ipv4, ipv6 } = daemon.host
    await apply(far, hostEndpoint('h1-eth0', { interfaceName: 'eth0' }))
    assert.equal(await portStates(far.host, [ipv4, ipv6], 22, 81), { 22: 'open', 81: 'closed' })
    const denied = (report: StatsReport) => packets(report, { direction: 'ingress', by: 'end' })
    const before = denied(await stats(daemon))
    assert.ok((before[0] ?? 0) >= 2, `${before} were denied`)
    await daemon.stop()
    await daemon.start()
    assert.equal(denied(await stats(daemon)), before)
    const following = start(daemon.host, [process.execPath, builtProgram('margay.js'), 'flows', '--follow', '--dropped', '-o', 'json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      let text = ''
      following.stdout?.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      const first = await until({ what: 'an event', deadlineMs: 20_000, everyMs: 50 }, async () => {
        await portStates(far.host, [ipv4], 82)
        return text.includes('\n') ? text.slice(0, text.indexOf('\n')) : undefined
      })
      const { verdict, direction, endpoint, endpointKind, interface: link, destinationPort, decider } = JSON.parse(first) as FlowEvent
      assert.equal(
        { verdict, direction, endpoint, endpointKind, link, destinationPort, decider },
        {
          ...{
            verdict: 'deny',
            direction: 'ingress',
            endpoint: 'h1-eth0',
            endpointKind: 'HostEndpoint',
            link: 'eth0',
            destinationPort: 82,
          },
          decider: { by: 'end', action: 'Deny' },
        },
      )
    } finally {
      following.kill()
    }
  })
})

test.run()
