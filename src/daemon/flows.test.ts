import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLog, until } from '../../test/support/daemon.ts'
import { createNamespace, type Namespace, openUdp } from '../../test/support/nft-lab.ts'
import { Nflog } from '../kernel/nflog/nflog.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { FlowEvent, FlowLine } from '../model/own/flows.ts'
import { type CountedRule, counterOf, logThen } from '../policy/counted-rule.ts'
import { LOG_GROUP } from '../policy/felix-settings.ts'
import { Flows } from './flows.ts'

const test = suite('daemon/flows')

const { signal } = new AbortController()
const denied: CountedRule = {
  ...{ by: 'policy', direction: 'ingress', kind: 'GlobalNetworkPolicy', namespace: undefined, name: 'closed', tier: 'default' },
  ...{ isStaged: false, rule: 0, action: 'Deny' },
}
const { object: counter } = counterOf(denied)

/** Rules that deny what comes to UDP port 7000, and tell of five packets an hour. */
const rules: readonly NftObject[] = [
  counter,
  {
    kind: 'chain',
    name: 'x_1',
    rules: logThen({ counter: counter.name, verdict: 'deny', stage: 'normal' }, { rate: 1, seconds: 3600, burst: 5 }, LOG_GROUP, {
      counter: counter.name,
      verdict: { do: 'drop' },
    }),
  },
  {
    kind: 'chain',
    name: 'in',
    hook: { type: 'filter', hook: 'input', priority: 0 },
    rules: [
      {
        matches: [
          { on: 'protocol', value: 17 },
          { on: 'dport', value: 7000 },
        ],
        verdict: { do: 'jump', chain: 'x_1' },
      },
    ],
  },
]

interface Scene {
  readonly host: Namespace
  readonly table: NftablesTable
  readonly flows: Flows
  readonly log: ReturnType<typeof aLog>
  /** Is aborted when the scene ends. */
  readonly ends: AbortController
  send(count: number): void
}

let labels = 0

async function withFlows(work: (scene: Scene) => Promise<void>): Promise<void> {
  const host = createNamespace(`flows${labels++}`)
  const table = new NftablesTable({ netns: host.path, log: silentLogger })
  const log = aLog()
  const ends = new AbortController()
  const flows = new Flows({
    ...{ node: 'h1', netns: host.path, log, pollMs: 20 },
    rules: () => new Map([[counter.name, denied]]),
    context: () => undefined,
    interfaces: async () => [
      { name: 'lo', index: 1, kind: undefined, mac: '', mtuBytes: 65_536, isUp: true, isLoopback: true, addresses: [] },
    ],
  })
  const send = (count: number) => {
    const socket = openUdp(host, '127.0.0.1')
    for (let i = 0; i < count; i++) socket.send('127.0.0.1', 7000)
    socket.close()
  }
  try {
    await put(table)
    await work({ host, table, flows, log, ends, send })
  } finally {
    ends.abort()
    flows.close()
    table.close()
    host.remove()
  }
}

async function put(table: NftablesTable): Promise<void> {
  await table.list(signal)
  const failures = await table.commit({ put: new Map(rules.map((one) => [keyOf.policy(one), one])), remove: new Map() }, signal)
  assert.equal([...failures.values()], [])
}

const isFlow = (line: FlowLine): line is FlowEvent => line.type === 'flow'

test('of a flood a few packets are told one by one, the others in one, and counters have all', () =>
  withFlows(async ({ flows, ends, send }) => {
    flows.listen()
    const running = flows.run(ends.signal)
    await flows.stats(signal)
    send(200)
    const suppressed = await until('what was suppressed', () => flows.recent().find(({ type }) => type === 'suppressed'))
    const told = flows.recent().filter(isFlow)
    assert.ok(told.length >= 5 && told.length <= 6, `${told.length} were told`)
    const [first] = told
    assert.equal(
      { ...first, time: '', sourcePort: 0 },
      {
        ...{ type: 'flow', time: '', verdict: 'deny', direction: 'ingress', interface: 'lo' },
        decider: { by: 'policy', kind: 'GlobalNetworkPolicy', name: 'closed', tier: 'default', rule: 0, action: 'Deny' },
        ...{ protocol: 'UDP', source: '127.0.0.1', sourcePort: 0, destination: '127.0.0.1', destinationPort: 7000, lengthBytes: 29 },
      },
    )
    assert.ok(suppressed.type === 'suppressed' && suppressed.packets === 200 - told.length, JSON.stringify(suppressed))
    assert.equal((await flows.stats(signal)).rules, [
      { direction: 'ingress', decider: first?.decider, isStaged: false, packets: 200, bytes: 200 * 29 },
    ])
    const report = flows.report()
    assert.equal([report.problem, report.deniedLastMinute, report.lost], [undefined, 200, 0])
    assert.is(report.lastDenied?.decider.name, 'closed')
    ends.abort()
    await running
  }))

test('what was counted goes on over a table that somebody deleted', () =>
  withFlows(async ({ flows, host, table, send }) => {
    const packets = async () => (await flows.stats(signal)).rules.map((rule) => rule.packets)
    const untilCounted = (count: number) => until(`${count} packets`, async () => (await packets())[0] === count)
    send(3)
    await untilCounted(3)
    host.run('nft', 'delete table inet margay')
    assert.equal(await packets(), [3])
    await put(table)
    send(2)
    await untilCounted(5)
  }))

test('where another program listens margay says so, counts, and listens when that one is gone', () =>
  withFlows(async ({ flows, host, log, ends, send }) => {
    const other = new Nflog({ group: LOG_GROUP, netns: host.path }, { packet: () => {}, lost: () => {} })
    flows.listen()
    const running = flows.run(ends.signal)
    assert.match(flows.report().problem ?? '', /^another program listens to group 77 of NFLOG, margay flows shows nothing: /)
    assert.ok(flows.canLog, 'the rules tell the other one')
    await flows.stats(signal)
    send(1)
    assert.is((await flows.stats(signal)).rules[0]?.packets, 1)
    other.close()
    await until('margay to listen', () => flows.report().problem === undefined)
    send(1)
    await until('an event', () => flows.recent().some(isFlow))
    ends.abort()
    await running
    assert.is(log.lines.filter((line) => line.includes('can not be listened to')).length, 1, 'said once')
  }))

test('who follows gets events until he hangs up', () =>
  withFlows(async ({ flows, ends, send }) => {
    flows.listen()
    const seen: FlowLine[] = []
    const following = (async () => {
      for await (const line of flows.follow(ends.signal)) seen.push(line)
    })()
    send(1)
    await until('an event', () => seen.length === 1)
    ends.abort()
    await following
  }))

test.run()
