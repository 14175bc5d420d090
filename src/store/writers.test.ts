import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EtcdCluster, startEtcd } from '../../test/support/etcd.ts'
import { GoWriter } from '../../test/support/go-writer.ts'
import { plainEtcd } from '../../test/support/store.ts'
import { ConflictError } from '../errors.ts'
import type { GlobalNetworkPolicy } from '../model/network-policy.ts'
import { API_VERSION } from '../model/resource.ts'
import { applyResource, getResource, updateResource } from './resource-store.ts'
import type { Store } from './store.ts'

const test = suite('store/writers')

const KEY = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/edge'
const REF = { kind: 'GlobalNetworkPolicy', name: 'edge' } as const
/** The members of a newer Calico: `fromTheFuture` is none of ours. */
const NEWER = ['tier', 'order', 'ingress', 'egress', 'selector', 'types', 'applyOnForward', 'namespaceSelector', 'fromTheFuture']
const CHANGES = 40
const never = new AbortController().signal
let etcd: EtcdCluster

test.before(async () => {
  etcd = await startEtcd()
})

test.after(async () => {
  await etcd.close()
})

test('two writers of ours and one of Go change one policy at once, and nothing of any is lost', async () => {
  const stores = [0, 1, 2].map(() => plainEtcd(etcd.endpoints))
  const [first, second, third] = stores
  if (first === undefined || second === undefined || third === undefined) throw new Error('three stores were opened')
  const { resource: born } = await applyResource(first, aPolicy(), never)
  const go = new GoWriter(third, NEWER)
  const conflicts = await Promise.all([
    repeat((n) => change(first, (policy) => withLabel(policy, 'ours', String(n)))),
    repeat((n) => change(second, (policy) => ({ ...policy, spec: { ...policy.spec, order: n } }))),
    repeat((n) =>
      go.change(
        KEY,
        ({ metadata, spec }) => {
          metadata.annotations = { ...metadata.annotations, 'example.org/go': String(n) }
          spec['fromTheFuture'] = { count: n, text: '<a> && b' }
        },
        never,
      ),
    ),
  ])
  assert.ok(conflicts.reduce((sum, count) => sum + count) > 0, 'they were never in each other’s way: nothing was tested')
  const stored = JSON.parse((await first.get(KEY, never))?.value ?? '')
  assert.equal(stored, {
    kind: 'GlobalNetworkPolicy',
    apiVersion: API_VERSION,
    metadata: {
      name: 'edge',
      uid: born.metadata.uid,
      creationTimestamp: born.metadata.creationTimestamp,
      labels: { ours: String(CHANGES), 'projectcalico.org/tier': 'default' },
      annotations: { 'example.org/go': String(CHANGES), 'projectcalico.org/metadata': '{"name":"edge"}' },
    },
    spec: {
      ...{ tier: 'default', order: CHANGES, selector: "a == '<x>' && b != '&'", types: ['Ingress'] },
      ingress: [{ action: 'Allow', source: { nets: ['192.0.2.0/24'] } }],
      fromTheFuture: { count: CHANGES, text: '<a> && b' },
    },
  })
  for (const store of stores) store.close()
})

test('what Go wrote is ours letter by letter: applying it again writes nothing', async () => {
  const store = plainEtcd(etcd.endpoints)
  const go = new GoWriter(store, NEWER)
  await go.change(KEY, () => {}, never)
  const before = await store.get(KEY, never)
  const read = await getResource(store, REF, never)
  assert.is(read?.spec.selector, "a == '<x>' && b != '&'")
  const { outcome } = await applyResource(store, aPolicyOf(read), never)
  assert.is(outcome, 'unchanged')
  await change(store, (policy) => withLabel(policy, 'again', 'yes'))
  const text = (await store.get(KEY, never))?.value ?? ''
  assert.is(text, before?.value.replace('"labels":{', '"labels":{"again":"yes",'))
  assert.match(text, /a == '\\u003cx\\u003e' \\u0026\\u0026 b != '\\u0026'/)
  store.close()
})

test('an older Go writer loses what it does not know, as with Calico, and nothing else', async () => {
  const store = plainEtcd(etcd.endpoints)
  await new GoWriter(
    store,
    NEWER.filter((member) => member !== 'fromTheFuture'),
  ).change(KEY, () => {}, never)
  const read = await getResource(store, REF, never)
  assert.is(read !== undefined && 'fromTheFuture' in read.spec, false)
  assert.equal([read?.spec.order, read?.metadata.labels?.['ours']], [CHANGES, String(CHANGES)])
  store.close()
})

test('an update of what somebody else has changed is refused, with both revisions', async () => {
  const store = plainEtcd(etcd.endpoints)
  const read = await getResource(store, REF, never)
  if (read === undefined) throw new Error('there is no policy')
  await new GoWriter(store, NEWER).change(KEY, ({ spec }) => Object.assign(spec, { order: 7 }), never)
  const error = await updateResource(store, { ...read, spec: { ...read.spec, order: 8 } }, never).catch((reason: unknown) => reason)
  assert.instance(error, ConflictError)
  const now = (await store.get(KEY, never))?.modRevision
  const message = `GlobalNetworkPolicy "edge" was changed by somebody else: revision ${read.metadata.resourceVersion} was relied on, it is at revision ${now} now`
  assert.is(String(error), `ConflictError: ${message}`)
  store.close()
})

function aPolicy(): GlobalNetworkPolicy {
  const ingress = [{ action: 'Allow', source: { nets: ['192.0.2.0/24'] } }] as unknown as NonNullable<
    GlobalNetworkPolicy['spec']['ingress']
  >
  const spec = { selector: "a == '<x>' && b != '&'", ingress, order: 0 }
  return { apiVersion: API_VERSION, kind: 'GlobalNetworkPolicy', metadata: { name: 'edge' }, spec }
}

/** The same as a person would apply it: without what belongs to the store. */
function aPolicyOf(read: GlobalNetworkPolicy | undefined): GlobalNetworkPolicy {
  if (read === undefined) throw new Error('there is no policy')
  const { name, labels, annotations } = read.metadata
  return { ...read, metadata: { name, labels, annotations } }
}

function withLabel(policy: GlobalNetworkPolicy, key: string, value: string): GlobalNetworkPolicy {
  return { ...policy, metadata: { ...policy.metadata, labels: { ...policy.metadata.labels, [key]: value } } }
}

/** Makes all changes, one after another; gives how often somebody else was faster. */
async function repeat(one: (n: number) => Promise<number>): Promise<number> {
  let conflicts = 0
  for (let n = 1; n <= CHANGES; n += 1) conflicts += await one(n)
  return conflicts
}

/** Reads, changes and updates as a client of ours does; gives how often somebody else was faster. */
async function change(store: Store, edit: (policy: GlobalNetworkPolicy) => GlobalNetworkPolicy): Promise<number> {
  for (let lost = 0; ; lost += 1) {
    const read = await getResource(store, REF, never)
    if (read === undefined) throw new Error('there is no policy')
    try {
      await updateResource(store, edit(read), never)
      return lost
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error
    }
  }
}

test.run()
