import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EtcdAddresses } from './etcd-addresses.ts'

const test = suite('daemon/etcd-addresses')

test('addresses are known at once, names when they were looked up', async () => {
  const endpoints = ['https://192.0.2.9:2379', 'https://[2001:db8::9]:2390', 'http://etcd.example']
  const found = new EtcdAddresses({ endpoints, embedded: false }, async () => ['192.0.2.11', '192.0.2.10'])
  const fixed = [
    { ip: '192.0.2.9', port: 2379 },
    { ip: '2001:db8::9', port: 2390 },
  ]
  assert.equal(found.use, { endpoints: fixed, ownPorts: [] })
  assert.is(await found.refresh(), true)
  const { use } = found
  assert.equal(use.endpoints, [...fixed, { ip: '192.0.2.10', port: 80 }, { ip: '192.0.2.11', port: 80 }])
  assert.is(await found.refresh(), false)
  assert.is(found.use, use)
})

test('a name that moves is followed, one that can not be looked up stays where it was', async () => {
  let answer: string[] | undefined = ['192.0.2.1']
  const found = new EtcdAddresses({ endpoints: ['https://etcd.example:2379'], embedded: false }, async () => {
    if (answer === undefined) throw new Error('no name server')
    return answer
  })
  await found.refresh()
  answer = undefined
  assert.is(await found.refresh(), false)
  assert.equal(found.use.endpoints, [{ ip: '192.0.2.1', port: 2379 }])
  answer = ['192.0.2.2']
  assert.is(await found.refresh(), true)
  assert.equal(found.use.endpoints, [{ ip: '192.0.2.2', port: 2379 }])
})

test('an etcd of the host itself is for other hosts, on two ports', () => {
  assert.equal(new EtcdAddresses({ endpoints: [], embedded: true }).use, { endpoints: [], ownPorts: [23790, 23791] })
})

test.run()
