import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Service } from '../model/own/service.ts'
import { serviceMembers } from '../model/own/service-members.ts'
import { API_VERSION, CORE_VERSION } from '../model/resource.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { PROTOCOL_NUMBERS } from '../net/port.ts'
import type { ServicePort } from './members.ts'
import { ServiceIndex } from './service-index.ts'

const test = suite('policy/service-index')

function aService(name: string, spec: Service['spec'], namespace = 'n'): Service {
  return { apiVersion: CORE_VERSION, kind: 'Service', metadata: { name, namespace }, spec }
}

function anEndpoint(name: string, app: string, address: string, namespace = 'n'): WorkloadEndpoint {
  const spec = { ipNetworks: [parseInterfaceAddress(address)], ports: [{ name: 'http', protocol: 'TCP', port: 8000 }] }
  return { apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata: { name, namespace, labels: { app } }, spec }
}

const WEB = { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] } as const

test('endpoints come, are relabelled and go, before and after their service', () => {
  const index = new ServiceIndex()
  index.setEndpoint('n/a', anEndpoint('a', 'web', '10.65.0.1'))
  index.setEndpoint('m/a', anEndpoint('a', 'web', '10.65.0.9', 'm'))
  assert.equal([...index.takeChanges()], [])
  index.setService('n/s', aService('s', WEB))
  index.setEndpoint('n/b', anEndpoint('b', 'web', '2001:db8::1'))
  const [a, b] = ['10.65.0.1', '2001:db8::1'].map((address) => ({ address, protocol: 6, port: 8000 }))
  assert.equal([...index.takeChanges()], [['n/s', [a, b]]])
  index.setEndpoint('n/a', anEndpoint('a', 'db', '10.65.0.1'))
  assert.equal([...index.takeChanges()], [['n/s', [b]]])
  index.setEndpoint('n/a', anEndpoint('a', 'db', '10.65.0.2'))
  assert.equal([...index.takeChanges()], [])
  index.setEndpoint('n/b', undefined)
  assert.equal([...index.takeChanges()], [['n/s', []]])
  index.setService('n/s', undefined)
  assert.equal([...index.takeChanges()], [['n/s', undefined]])
})

/** xorshift32: the same numbers on every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

test('after any sequence of changes the index says what a look at everything says', () => {
  const next = randomOf(20_260_802)
  const index = new ServiceIndex()
  const services = new Map<string, Service>()
  const endpoints = new Map<string, WorkloadEndpoint>()
  const told = new Map<string, readonly ServicePort[]>()
  for (let step = 0; step < 3000; step++) {
    const namespace = ['n', 'm'][next(2)] ?? 'n'
    const name = `x${next(8)}`
    const id = `${namespace}/${name}`
    const app = ['web', 'db'][next(2)] ?? 'web'
    const isGone = next(4) === 0
    if (next(3) === 0) {
      const service = isGone ? undefined : aService(name, { ...WEB, selector: { app } }, namespace)
      if (service) services.set(id, service)
      else services.delete(id)
      index.setService(id, service)
    } else {
      const endpoint = isGone ? undefined : anEndpoint(name, app, `10.65.0.${next(200)}`, namespace)
      if (endpoint) endpoints.set(id, endpoint)
      else endpoints.delete(id)
      index.setEndpoint(id, endpoint)
    }
    if (next(5) > 0) continue
    for (const [changed, ends] of index.takeChanges()) {
      if (ends) told.set(changed, ends)
      else told.delete(changed)
    }
    const want = new Map([...services].map(([each, service]) => [each, searched(service, endpoints)]))
    assert.equal(sorted(told), sorted(want))
  }
})

function searched(service: Service, endpoints: ReadonlyMap<string, WorkloadEndpoint>): ServicePort[] {
  return serviceMembers(service, endpoints.values()).flatMap(({ addresses, ports }) =>
    addresses.flatMap((address) => ports.map(({ protocol, port }) => ({ address, protocol: PROTOCOL_NUMBERS[protocol], port }))),
  )
}

function sorted(ends: ReadonlyMap<string, readonly ServicePort[]>): unknown {
  return [...ends].map(([id, list]) => [id, list.map((end) => JSON.stringify(end)).sort()] as const).sort(([a], [b]) => (a < b ? -1 : 1))
}

test.run()
