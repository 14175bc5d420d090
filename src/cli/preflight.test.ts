import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { until } from '../../test/support/daemon.ts'
import { resourceKey } from '../model/keys.ts'
import { ASK_PREFIX } from '../model/own/ask.ts'
import { MemoryStore } from '../store/memory.ts'
import { parseSshConnection } from './ssh-connections.ts'

const test = suite('cli/preflight')

const never = new AbortController().signal
/** Somebody on 198.51.100.9 has logged in on h1, which has 192.0.2.1. */
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.250:2379', SSH_CONNECTION: '198.51.100.9 50000 192.0.2.1 2222' }

const document = (kind: string, name: string, spec: string) =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}, labels: {role: host}}\nspec: {${spec}}\n`
const ENDPOINT = document('HostEndpoint', 'h1-eth0', 'node: h1, interfaceName: eth0')
const SSH = document(
  'GlobalNetworkPolicy',
  'ssh',
  `selector: role == 'host', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [2222]}}]`,
)
const NODE = document('Node', 'h1', 'bgp: {ipv4Address: 192.0.2.1/24}')

async function aNetwork(...documents: readonly string[]) {
  const store = new MemoryStore()
  const margay = (argv: readonly string[], stdin = '', more: Readonly<Record<string, string>> = env) =>
    run(argv, { store: store.another(), stdin, env: more })
  const done = await margay(['apply', '--force', '-f', '-'], documents.join('---\n'))
  assert.is(done.code, 0, done.err)
  return { store, margay }
}

test('a host endpoint that would cut the session of whoever applies it is refused, by what the store knows where no daemon runs', async () => {
  const { store, margay } = await aNetwork(NODE)
  const { code, err } = await margay(['apply', '-f', '-'], ENDPOINT)
  assert.is(code, 1)
  assert.match(err, /note: h1 is not alive: of its connections only those are looked at that follow from the store/)
  assert.match(err, /nothing was written: it would cut new connections of administrators or of etcd \(--force does it all the same\):/)
  assert.match(
    err,
    /h1: SSH from 198\.51\.100\.9 port 50000 to 192\.0\.2\.1 port 2222: to-host, host endpoint h1-eth0: no policy applies, and no profile allows it: Deny/,
  )
  assert.is(await store.get(resourceKey('HostEndpoint', 'h1-eth0'), never), undefined)
  for await (const page of store.list(ASK_PREFIX, {}, never)) assert.equal(page.entries, [])
})

test('what allows the session in the same file lets it through, and --force writes it in any case', async () => {
  const { margay } = await aNetwork(NODE)
  assert.is((await margay(['apply', '-f', '-'], `${SSH}---\n${ENDPOINT}`)).code, 0)
  assert.is((await margay(['delete', 'gnp', 'ssh'])).code, 1)
  assert.is((await margay(['label', 'hep', 'h1-eth0', 'role=other', '--overwrite'])).code, 1)
  assert.is((await margay(['patch', 'gnp', 'ssh', '-p', '{spec: {selector: "role == \'none\'"}}'])).code, 1)
  assert.match((await margay(['replace', '-f', '-'], SSH.replace('2222', '23'))).err, /would cut/)
  assert.is((await margay(['delete', 'gnp', 'ssh', '--force'])).code, 0)
})

test('etcd is looked at too, where rules come before what hosts always let through', async () => {
  const { margay } = await aNetwork(NODE, SSH, ENDPOINT)
  const felix = document('FelixConfiguration', 'default', 'failsafeOutboundHostPorts: []')
  assert.is((await margay(['apply', '-f', '-'], felix)).code, 0)
  const raw = document(
    'GlobalNetworkPolicy',
    'raw',
    `selector: role == 'host', doNotTrack: true, applyOnForward: true, types: [Egress], egress: [{action: Deny, protocol: TCP, destination: {ports: [2379]}}]`,
  )
  assert.match((await margay(['apply', '-f', '-'], raw)).err, /h1: etcd from 192\.0\.2\.1 port \d+ to 192\.0\.2\.250 port 2379: untracked/)
})

test('what was denied before is not cut, and who has no session is asked nothing', async () => {
  const { margay } = await aNetwork(NODE, ENDPOINT)
  assert.is((await margay(['apply', '-f', '-'], SSH.replace('2222', '23'))).code, 0)
  const other = await aNetwork(NODE)
  assert.is((await other.margay(['apply', '-f', '-'], ENDPOINT, { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.250:2379' })).code, 0)
})

test('automatic host endpoints that a policy would close are refused before they are asked for, others are not', async () => {
  const automatic = document('KubeControllersConfiguration', 'default', 'controllers: {node: {hostEndpoint: {autoCreate: Enabled}}}')
  const plain = await aNetwork(NODE)
  assert.is((await plain.margay(['apply', '-f', '-'], automatic)).code, 0)
  const { margay } = await aNetwork(NODE, document('GlobalNetworkPolicy', 'closed', 'selector: all(), types: [Ingress]'))
  const { code, err } = await margay(['apply', '-f', '-'], automatic)
  assert.is(code, 1)
  assert.match(
    err,
    /h1: SSH from 198\.51\.100\.9 port 50000 to 192\.0\.2\.1 port 2222: to-host, host endpoint h1-auto-hep: no policy of tier default decided/,
  )
})

test('without host endpoints nobody is asked, and calicoctl asks nobody', async () => {
  const { margay, store } = await aNetwork(NODE)
  const asked: string[] = []
  const stop = new AbortController()
  const watching = (async () => {
    for await (const { events } of store.another().watch(ASK_PREFIX, 0, stop.signal)) asked.push(...events.map(({ key }) => key))
  })()
  assert.equal(await margay(['apply', '-f', '-'], SSH).then(({ code, err }) => [code, /note: h1/.test(err)]), [0, false])
  const calicoctl = await run(['apply', '-f', '-'], { program: 'calicoctl', store: store.another(), stdin: ENDPOINT, env })
  assert.is(calicoctl.code, 0, calicoctl.err)
  stop.abort()
  await watching
  assert.equal(asked, [])
})

test('a host of an older version is looked at by what the store knows, at once', async () => {
  const { store, margay } = await aNetwork(NODE)
  await store.commit([], [{ put: '/margay/v1/live/h1', value: '{}' }], never)
  const stop = new AbortController()
  const answering = (async () => {
    for await (const { events } of store.another().watch(ASK_PREFIX, 0, stop.signal)) {
      for (const { key, entry } of events) {
        if (entry === undefined || key.slice(ASK_PREFIX.length).includes('/')) continue
        const { lease } = JSON.parse(entry.value) as { lease: string }
        const value = JSON.stringify({ node: 'h1', revision: 1, refused: 0, reasons: [] })
        await store.commit([], [{ put: `${key}/h1`, value, lease: BigInt(lease) }], never)
      }
    }
  })()
  await until('the watch', () => true)
  const { code, err } = await margay(['apply', '-f', '-'], ENDPOINT)
  assert.is(code, 1)
  assert.match(err, /h1 has an older version, which does not know such questions/)
  stop.abort()
  await answering
})

const texts: readonly (readonly [text: string, want: string | undefined])[] = [
  ['198.51.100.9 50000 192.0.2.1 22', '198.51.100.9:50000 192.0.2.1:22'],
  ['fe80::1%eth0 50000 fe80::2%eth0 22', 'fe80::1:50000 fe80::2:22'],
  ['UNKNOWN 65535 UNKNOWN 65535', undefined],
  ['', undefined],
]
for (const [text, want] of texts) {
  test(`SSH_CONNECTION ${JSON.stringify(text)} is ${want}`, () => {
    const flow = parseSshConnection(text)
    assert.is(flow && `${flow.source.address}:${flow.source.port} ${flow.destination.address}:${flow.destination.port}`, want)
  })
}

test.run()
