import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { KernelError } from '../errors.ts'
import { addConformance } from './conformance.ts'
import { aPair, aTunnel, expectOnly, put, type World } from './conformance-kit.ts'
import { FakeKernel } from './fake.ts'
import { keyOf } from './objects.ts'
import type { Interface } from './table.ts'

const test = suite('kernel/fake')
const signal = new AbortController().signal

const eth0: Interface = {
  name: 'eth0',
  index: 2,
  kind: 'veth',
  mac: '02:00:5e:00:53:10',
  mtuBytes: 1500,
  isUp: true,
  isLoopback: false,
  addresses: [
    { address: '192.0.2.10/24', scope: 'global', isDeprecated: false, isTentative: false },
    { address: '2001:db8::10/64', scope: 'global', isDeprecated: false, isTentative: false },
  ],
}

function open(): World & { readonly fake: FakeKernel } {
  const fake = new FakeKernel([eth0])
  let namespaces = 0
  return {
    fake,
    kernel: fake,
    addNetns() {
      const path = `/run/netns/w${++namespaces}`
      fake.addNetns(path)
      return path
    },
    removeNetns: (path) => fake.removeNetns(path),
    others: {
      removeRoute: (route) => fake.removeByOthers('routes', keyOf.routes(route)),
      removeFdb: (link, mac) => fake.removeByOthers('fdb', `${link} ${mac}`),
      removeLink: (name) => fake.removeByOthers('links', name),
      flushAddresses(link) {
        for (const [key, address] of fake.read('addresses')) if (address.link === link) fake.removeByOthers('addresses', key)
      },
      setMtu(name, mtuBytes) {
        const link = fake.read('links').get(name)
        if (link !== undefined) fake.putByOthers('links', { ...link, mtuBytes })
      },
    },
    close: () => fake.close(),
  }
}

addConformance(test, open)

test('a refused key is refused until it is allowed', async () => {
  const { fake } = open()
  fake.refuse('links', 'margay.vxlan', new KernelError('no'))
  const delta = { put: new Map([['margay.vxlan', aTunnel()]]), remove: new Map() }
  assert.is((await fake.tables.links.commit(delta, signal)).size, 1)
  fake.allow('links', 'margay.vxlan')
  assert.is((await fake.tables.links.commit(delta, signal)).size, 0)
  assert.is(fake.commits.links, 2)
})

test('a namespace that ends takes its links along', async () => {
  const { fake } = open()
  fake.addNetns('/run/netns/w')
  await put(fake, 'links', aPair('/run/netns/w'))
  fake.removeNetns('/run/netns/w')
  await expectOnly(fake, 'links')
})

test('an interface that goes takes its routes along and is told of', async () => {
  const { fake } = open()
  await put(fake, 'routes', { table: 254, destination: '10.65.1.0/26' as never, metric: 0, type: 'unicast', link: 'eth0' })
  fake.setInterfaces([])
  await expectOnly(fake, 'routes')
  for await (const event of fake.events(signal)) {
    assert.equal(event, { type: 'interfaces' })
    break
  }
})

test.run()
