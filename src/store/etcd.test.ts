import { suite } from 'uvu'
import { type EtcdCluster, startEtcd } from '../../test/support/etcd.ts'
import { plainEtcd } from '../../test/support/store.ts'
import type { EtcdStore } from './etcd.ts'
import { checkStore } from './store.compliance.ts'

const test = suite('store/etcd')
let cluster: EtcdCluster | undefined
let shared: EtcdStore | undefined

test.before(async () => {
  cluster = await startEtcd()
  shared = plainEtcd(cluster.endpoints)
})

test.after(async () => {
  shared?.close()
  await cluster?.close()
})

checkStore(test, () => {
  const [store, endpoints] = [shared, cluster?.endpoints]
  if (!store || !endpoints) throw new Error('etcd was not started')
  return { store, another: () => plainEtcd(endpoints), compact: (revision) => store.compact(revision, new AbortController().signal) }
})

test.run()
