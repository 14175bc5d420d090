import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { liveKey, resourceKey } from '../model/keys.ts'
import { type About, ASK_PREFIX, type AskAnswer, answerKey, decodeAsk, isAskKey } from '../model/own/ask.ts'
import { MemoryStore } from '../store/memory.ts'

const test = suite('cli/wait')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

/** A store with hosts that are alive; each answers what it is told, or not at all. */
async function aNetwork(hosts: Readonly<Record<string, Partial<AskAnswer> | undefined>>) {
  const store = new MemoryStore()
  const stop = new AbortController()
  const asked: { revision: number; at: number; about?: About | undefined }[] = []
  for (const node of Object.keys(hosts)) await store.commit([], [{ put: liveKey(node), value: '{}' }], never)
  const answering = (async () => {
    for await (const { events } of store.another().watch(ASK_PREFIX, 0, stop.signal)) {
      for (const { key, entry } of events) {
        if (entry === undefined || !isAskKey(key)) continue
        const { revision, lease, about } = decodeAsk(entry.value)
        asked.push({ revision, at: entry.modRevision, about })
        for (const [node, more] of Object.entries(hosts)) {
          if (more === undefined) continue
          const value = JSON.stringify({ node, revision, refused: 0, reasons: [], ...more })
          await store.commit([], [{ put: answerKey(key, node), value, lease: BigInt(lease) }], never)
        }
      }
    }
  })()
  await new Promise((resolve) => setImmediate(resolve))
  const margay = (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env })
  const end = async () => {
    stop.abort()
    await answering
  }
  return { store, asked, margay, end }
}

const POOL = 'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p1}\nspec: {cidr: 10.1.0.0/16}\n'
const ENDPOINT = 'apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: e1}\nspec: {node: h2, interfaceName: eth0}\n'

test('apply waits until all hosts have applied what was written, and leaves no question behind', async () => {
  const { store, asked, margay, end } = await aNetwork({ h1: {}, h2: {} })
  const done = await margay(['apply', '-f', '-', '--wait'], POOL)
  assert.equal(done, { code: 0, out: 'ippool/p1 created\napplied on 2 of 2 hosts\n', err: '' })
  const written = await store.get(resourceKey('IPPool', 'p1'), never)
  assert.equal(
    asked.map(({ revision }) => revision),
    [written?.modRevision],
  )
  for await (const page of store.list(ASK_PREFIX, {}, never)) assert.equal(page.entries, [])
  await end()
})

test('hosts that refuse, and those that say nothing, are named, and the exit code is 3', async () => {
  const { margay, end } = await aNetwork({
    h1: {},
    h2: { refused: 2, reasons: ['routes 254 10.1.0.0/26 0: no such device'] },
    h3: undefined,
  })
  const done = await margay(['apply', '-f', '-', '--wait', '1'], POOL)
  assert.is(done.code, 3)
  assert.is(
    done.out,
    'ippool/p1 created\napplied on 1 of 3 hosts\n  h2 refuses 2: routes 254 10.1.0.0/26 0: no such device\n  h3 did not answer within 1 s\n',
  )
  await end()
})

test('what a host refuses that the change is not about is told, and does not count', async () => {
  const { asked, margay, end } = await aNetwork({ h1: {}, h2: { others: 3 } })
  const endpoint =
    'apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata: {namespace: shop}\nspec: {node: h1, orchestrator: other, workload: w, endpoint: eth0, interfaceName: tap0, ipNetworks: [192.0.2.1/32]}\n'
  const done = await margay(['apply', '-f', '-', '--wait'], `${POOL}---\n${endpoint}`)
  assert.is(done.code, 0)
  assert.match(done.out, /applied on 2 of 2 hosts\n {2}h2 refuses 3 that this is not about: "margay status" there names them\n$/)
  assert.equal(asked[0]?.about, { kinds: ['IPPool', 'WorkloadEndpoint'], endpoints: ['shop/h1-other-w-eth0'] })
  await end()
})

test('what concerns one host is waited for on that one only', async () => {
  const { margay, end } = await aNetwork({ h1: undefined, h2: {} })
  assert.equal(await margay(['apply', '-f', '-', '--wait', '5'], ENDPOINT), {
    code: 0,
    out: 'hostendpoint/e1 created\napplied on 1 of 1 host\n',
    err: '',
  })
  assert.match(
    (await margay(['patch', 'hep', 'e1', '-p', '{spec: {interfaceName: eth1}}', '--wait', '5'])).out,
    /applied on 1 of 1 host\n$/,
  )
  assert.match((await margay(['label', 'hep', 'e1', 'a=b', '--wait', '5'])).out, /applied on 1 of 1 host\n$/)
  await end()
})

test('delete waits too; without hosts there is nothing to wait for', async () => {
  const { margay, end } = await aNetwork({})
  await margay(['apply', '-f', '-'], ENDPOINT)
  assert.equal(await margay(['delete', 'hep', 'e1', '--wait']), {
    code: 0,
    out: 'hostendpoint/e1 deleted\nno host that it concerns is alive: it is applied when one starts\n',
    err: '',
  })
  await end()
})

test('a dry run cannot be waited for, and what failed is not', async () => {
  const { margay, asked, end } = await aNetwork({ h1: {} })
  assert.match((await margay(['apply', '-f', '-', '--wait', '--dry-run'], POOL)).err, /give one of --wait and --dry-run/)
  assert.is((await margay(['delete', 'hep', 'e9', '--wait'])).code, 1)
  assert.equal(asked, [])
  await end()
})

test.run()
