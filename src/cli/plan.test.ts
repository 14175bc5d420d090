import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type AskedSpec, aConnection, startAsked } from '../../test/support/asked-hosts.ts'
import { run } from '../../test/support/cli.ts'
import { IS_LONG } from '../../test/support/fault.ts'
import { trialHostsPrefix, trialKey } from '../model/keys.ts'
import { ASK_PREFIX } from '../model/own/ask.ts'
import { decodeTrial } from '../model/own/trial.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Plan } from './plan-render.ts'

const test = suite('cli/plan')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.250:2379' }

const document = (kind: string, metadata: string, spec: string) =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {${metadata}}\nspec: {${spec}}\n`
const workload = (name: string, host: string, address: string) =>
  document(
    'WorkloadEndpoint',
    `namespace: shop, labels: {app: ${name}}`,
    `orchestrator: margay, workload: ${name}, node: ${host}, endpoint: eth0, interfaceName: mgy-${name}, profiles: [kns.shop], ipNetworks: ["${address}"]`,
  )
const NETWORK = [
  document('Node', 'name: h1', 'bgp: {ipv4Address: 192.0.2.1/24}'),
  document('Node', 'name: h2', 'bgp: {ipv4Address: 192.0.2.2/24}'),
  workload('web', 'h1', '10.65.0.9/32'),
  workload('db', 'h2', '10.65.0.70/32'),
  workload('db6', 'h2', '2001:db8:65::70/128'),
]
const policy = (name: string, spec: string) => document('NetworkPolicy', `name: ${name}, namespace: shop`, spec)
const CLOSED = policy(
  'db',
  `selector: "app in {'db', 'db6'}", types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [5432]}}]`,
)

const H1: AskedSpec = {
  ...{ node: 'h1', uplink: ['192.0.2.1/24'], links: { '10.65.0.9': 'mgy-web' } },
  connections: [aConnection('10.65.0.9:40000 > 10.65.0.70:5432')],
}
const H2: AskedSpec = {
  ...{ node: 'h2', uplink: ['192.0.2.2/24'], links: { '10.65.0.70': 'mgy-db', '2001:db8:65::70': 'mgy-db6' } },
  connections: [
    ...['10.65.0.9:40000 > 10.65.0.70:5432', '10.65.0.9:40001 > 10.65.0.70:80', '2001:db8::9:40000 > 2001:db8:65::70:5432'].map(
      aConnection,
    ),
    // Nobody has answered it: it is not open.
    { ...aConnection('10.65.0.9:40002 > 10.65.0.70:5432'), status: 0 },
  ],
}

async function inNetwork(
  hosts: readonly AskedSpec[],
  work: (margay: (argv: readonly string[], stdin?: string) => ReturnType<typeof run>, store: MemoryStore) => Promise<void>,
) {
  const store = new MemoryStore()
  const margay = (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env })
  const applied = await margay(['apply', '-f', '-'], NETWORK.join('---\n'))
  assert.is(applied.code, 0, applied.err)
  const end = await startAsked(store, hosts)
  try {
    await work(margay, store)
  } finally {
    await end()
  }
}

test('connections that a policy would cut are named with policy and rule, on the host where they are, and nothing is written', async () => {
  await inNetwork([H1, H2], async (margay, store) => {
    const before = JSON.stringify(await listAll(store))
    const { code, out, err } = await margay(['plan', '-f', '-'], CLOSED)
    assert.is(err.replace(/.*note: .*is kept.*\n/g, ''), '')
    assert.is(
      out,
      `networkpolicy/shop/db would be created

h1: no policies of endpoints change, 0 of 1 open connection would be cut
h2: policies of 2 endpoints change, 3 of 3 open connections would be cut
  workload endpoint shop/h2-margay-db-eth0
    + NetworkPolicy shop/db, tier default
    tier default begins to apply, its default is Deny
  workload endpoint shop/h2-margay-db6-eth0
    + NetworkPolicy shop/db, tier default
    tier default begins to apply, its default is Deny
  cut: TCP from 10.65.0.9 port 40000 to 10.65.0.70 port 5432: to-workload, workload endpoint shop/h2-margay-db-eth0: NetworkPolicy shop/db, ingress rule 0: Deny TCP to port 5432
  cut: TCP from 10.65.0.9 port 40001 to 10.65.0.70 port 80: to-workload, workload endpoint shop/h2-margay-db-eth0: no policy of tier default decided: its default is Deny
  cut: TCP from 2001:db8::9 port 40000 to 2001:db8:65::70 port 5432: to-workload, workload endpoint shop/h2-margay-db6-eth0: NetworkPolicy shop/db, ingress rule 0: Deny TCP to port 5432

answered by 2 of 2 hosts
3 open connections would be cut
`,
    )
    assert.is(code, 4, out)
    assert.is(JSON.stringify(await listAll(store)), before)
  })
})

async function listAll(store: MemoryStore) {
  const keys: string[] = []
  for await (const page of store.list('/', {}, never)) keys.push(...page.entries.map(({ key, modRevision }) => `${key} ${modRevision}`))
  for await (const page of store.list(ASK_PREFIX, {}, never)) assert.equal(page.entries, [])
  return keys
}

test('changes that cut nothing end with 0, and those of network sets are told by their prefixes', async () => {
  await inNetwork([H1, H2], async (margay) => {
    const set = (nets: string) => document('GlobalNetworkSet', 'name: office', `nets: [${nets}]`)
    assert.is((await margay(['apply', '-f', '-'], set('198.51.100.0/24, 203.0.113.0/25'))).code, 0)
    const allowed = policy('db', `selector: all(), types: [Ingress], ingress: [{action: Allow}]`)
    const { code, out } = await margay(['plan', '-f', '-', '-o', 'json'], `${allowed}---\n${set('198.51.100.0/24, 203.0.113.0/24')}`)
    const plan = JSON.parse(out) as Plan
    assert.equal([code, plan.wouldCut, plan.cut, plan.answered], [0, false, 0, 2])
    assert.equal(plan.resources[1], {
      ...{ kind: 'GlobalNetworkSet', name: 'office', becomes: 'updated' },
      nets: { added: ['203.0.113.0/24'], removed: ['203.0.113.0/25'] },
    })
    assert.equal(
      plan.hosts.map(({ node, changes }) => [node, changes.endpointsTotal]),
      [
        ['h1', 1],
        ['h2', 2],
      ],
    )
  })
})

const CLOSED_WEB = policy('web', `selector: app == 'web', types: [Egress], egress: [{action: Deny}]`)
for (const { revocation, goesOn } of [
  { revocation: { isWanted: false, hasTrial: false }, goesOn: 'policy.revokeEstablished is false there' },
  { revocation: { isWanted: true, hasTrial: true }, goesOn: 'until the trial that runs there is over' },
]) {
  test(`connections that go on are told apart, and do not count: ${goesOn}`, async () => {
    await inNetwork([{ ...H1, revocation }, H2], async (margay) => {
      const { code, out } = await margay(['plan', '-f', '-'], CLOSED_WEB)
      assert.match(
        out,
        /^h1: policies of 1 endpoint change, 0 of 1 open connection would be cut, 1 would go on that could not begin any more$/m,
      )
      const named = out.split('\n').find((line) => line.startsWith('  goes on')) ?? ''
      assert.ok(named.startsWith(`  goes on (${goesOn}), new ones like it would be denied: TCP from 10.65.0.9 port 40000 to `), out)
      assert.match(out, /\nno open connection would be cut\n1 open connection would go on, new ones like them would be denied\n$/)
      assert.is(code, 0)
    })
  })
}

test('what was open before a host endpoint goes on, but for what rules before connection tracking deny', async () => {
  const connections = ['198.51.100.9:50000 > 192.0.2.1:8080', '2001:db8:1::9:50000 > 2001:db8::1:8080'].map(aConnection)
  await inNetwork([{ ...H1, uplink: ['192.0.2.1/24', '2001:db8::1/64'], connections }, H2], async (margay) => {
    const endpoint = document('HostEndpoint', 'name: h1-eth0, labels: {role: host}', 'node: h1, interfaceName: eth0')
    const raw = document(
      'GlobalNetworkPolicy',
      'name: raw',
      `selector: role == 'host', doNotTrack: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, ipVersion: 6, protocol: TCP}]`,
    )
    const planned = async (text: string) => {
      const { code, out } = await margay(['plan', '-f', '-', '-o', 'json'], text)
      const { hosts, ...plan } = JSON.parse(out) as Plan
      return { code, plan, h1: hosts.find(({ node }) => node === 'h1')?.changes }
    }
    const alone = await planned(endpoint)
    assert.equal([alone.code, alone.plan.cut, alone.plan.tolerated], [0, 0, 2])
    assert.equal(
      alone.h1?.tolerated?.map(({ goesOn }) => goesOn),
      ['it is older than host endpoint h1-eth0', 'it is older than host endpoint h1-eth0'],
    )
    const both = await planned(`${endpoint}---\n${raw}`)
    assert.equal([both.code, both.plan.cut, both.plan.tolerated], [4, 1, 1])
    assert.is(both.h1?.cut?.[0]?.source.address, '2001:db8:1::9')
    // Of a host endpoint that is there already a change ends what it denies.
    const open = document(
      'GlobalNetworkPolicy',
      'name: open',
      `selector: role == 'host', ingress: [{action: Allow}], egress: [{action: Allow}]`,
    )
    assert.is((await margay(['apply', '--force', '-f', '-'], `${open}---\n${endpoint}`)).code, 0)
    const later = await planned(open.replace('ingress: [{action: Allow}]', 'ingress: [{action: Deny}]'))
    assert.equal([later.code, later.plan.cut, later.plan.tolerated], [4, 2, 0])
  })
})

test('a host that is not alive is told at once, and counts as cut where it is concerned', async () => {
  await inNetwork([H1], async (margay) => {
    const begin = performance.now()
    const { code, out, err } = await margay(['plan', '-f', '-'], CLOSED)
    assert.is(err.replace(/.*note: .*is kept.*\n/g, ''), '')
    assert.ok(performance.now() - begin < 4000)
    assert.is(code, 4, out)
    assert.match(
      out,
      /^h2: policies of 2 endpoints change, open connections are not known, and count as cut \(is not alive; from the store\)$/m,
    )
    assert.match(out, /^answered by 1 of 2 hosts; h2 did not\n0 open connections would be cut; those of h2 count as cut\n/m)
    const other = policy('web', `selector: app == 'web', types: [Ingress], ingress: [{action: Allow}]`)
    assert.is((await margay(['plan', '-f', '-'], other)).code, 0)
  })
})

test('what is deleted is planned too, and what is as it is changes nothing', async () => {
  await inNetwork([H1, H2], async (margay) => {
    const open = policy('open', `selector: all(), order: 1, types: [Ingress], ingress: [{action: Allow}]`)
    const last = policy('last', `selector: all(), order: 2000, types: [Ingress], ingress: [{action: Deny}]`)
    assert.is((await margay(['apply', '-f', '-'], `${open}---\n${last}`)).code, 0)
    const deleted = await margay(['plan', '-f', '-', '--delete', '-o', 'json'], open)
    const plan = JSON.parse(deleted.out) as Plan
    assert.equal([deleted.code, plan.cut, plan.resources[0]?.becomes], [4, 3, 'deleted'])
    assert.equal(plan.hosts[1]?.changes.endpoints[0]?.removed, ['NetworkPolicy shop/open, tier default'])
    assert.equal(await margay(['plan', '-f', '-'], open), { code: 0, out: '\nnothing would change\n', err: deleted.err })
  })
})

test('what could not be written is no plan, and is named with its place', async () => {
  await inNetwork([], async (margay) => {
    const { code, err } = await margay(['plan', '-f', '-'], policy('x', 'tier: gone, selector: all()').replace('name: x', 'name: gone.x'))
    assert.is(code, 1)
    assert.match(err, /standard input \(line 1, column 1\): .*gone/)
    assert.match(err, /nothing was planned/)
  })
})

/** With --long as many as a host must answer about in time. */
const MANY = IS_LONG ? 1000 : 200

test(`${MANY} policies are planned within the time that answers are waited for`, async () => {
  await inNetwork([H1, H2], async (margay) => {
    const rules = Array.from({ length: 20 }, (_, i) => `{action: Allow, protocol: TCP, destination: {ports: [${1000 + i}]}}`).join(', ')
    const many = Array.from({ length: MANY }, (_, i) =>
      policy(`p${i}`, `order: ${i}, selector: all(), types: [Ingress], ingress: [${rules}]`),
    )
    const { code, out } = await margay(['plan', '-f', '-', '-o', 'json'], many.join('---\n'))
    const plan = JSON.parse(out) as Plan
    assert.equal([code, plan.answered, plan.hosts[1]?.changes.endpoints[0]?.added.length], [4, 2, MANY])
  })
})

test('a trial that runs is named, and the plan is about what is written', async () => {
  await inNetwork([H1, H2], async (margay, store) => {
    const { out } = await margay(['apply', '-f', '-', '--confirm', '60s', '--wait', '1'], CLOSED)
    const id = /^trial (\w{4}):/m.exec(out)?.[1] ?? ''
    const { lease } = decodeTrial((await store.get(trialKey(id), never))?.value ?? '', 0)
    const value = JSON.stringify({ node: 'h2', state: 'running', reasons: [] })
    await store.commit([], [{ put: `${trialHostsPrefix(id)}h2`, value, lease: BigInt(lease) }], never)
    const plan = await margay(['plan', '-f', '-'], CLOSED)
    assert.match(
      plan.out,
      /\ntrial \w{4} of networkpolicy\/shop\/db runs on h2, until \S+Z \(\d+ s left\): all this is about the policy that is written, without it\n/,
    )
    assert.is(plan.code, 4)
  })
})

test.run()
