import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeResource } from './codec.ts'
import type { ResourceKind, ResourceTypes } from './kinds.ts'
import { prepareCreate, prepareUpdate } from './prepare.ts'
import { API_VERSION } from './resource.ts'
import { workloadEndpointName, workloadEndpointPrefix } from './workload-endpoint-name.ts'

const test = suite('model/prepare')

const NOW = new Date('2026-11-21T10:11:12.345Z')

/** A resource as decoded from this spec. */
function a<K extends ResourceKind>(kind: K, spec: unknown, name = 'default', namespace?: string): ResourceTypes[K] {
  const { resourceVersion: _, ...metadata } = decodeResource(kind, JSON.stringify({ metadata: { name, namespace }, spec }), 1).metadata
  return { ...decodeResource(kind, JSON.stringify({ metadata: { name }, spec }), 1), metadata }
}

test('a new resource gets uid, time and defaults', () => {
  assert.equal(prepareCreate(a('IPPool', { cidr: '10.65.0.0/16' }, 'p'), NOW, 'uuid'), {
    apiVersion: API_VERSION,
    kind: 'IPPool',
    metadata: { name: 'p', uid: 'uuid', creationTimestamp: '2026-11-21T10:11:12Z' },
    spec: {
      cidr: '10.65.0.0/16',
      vxlanMode: 'Never',
      ipipMode: 'Never',
      blockSize: 26,
      nodeSelector: 'all()',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
    },
  } as unknown as ResourceTypes['IPPool'])
  assert.is(prepareCreate(a('IPPool', { cidr: '2001:db8::/48' }, 'p'), NOW, 'u').spec.blockSize, 122)
  assert.equal(prepareCreate(a('Tier', {}, 'default'), NOW, 'u').spec, { order: 1_000_000, defaultAction: 'Deny' })
  assert.is(prepareCreate(a('Tier', {}, 'mine'), NOW, 'u').spec.defaultAction, 'Deny')
  assert.equal(prepareCreate(a('IPAMConfiguration', {}), NOW, 'u').spec, { strictAffinity: false, autoAllocateBlocks: true })
})

test('a new resource has no resourceVersion, and is valid', () => {
  const pool = a('IPPool', { cidr: '10.65.0.0/16' }, 'p')
  assert.throws(
    () => prepareCreate({ ...pool, metadata: { name: 'p', resourceVersion: '5' } }, NOW, 'u'),
    /a new IPPool has no resourceVersion, "p" was given one/,
  )
  assert.throws(
    () => prepareCreate({ ...pool, metadata: { name: 'P' } }, NOW, 'u'),
    /not a valid IPPool "P": metadata\.name: "P" is not a name/,
  )
})

const endpoint = {
  node: 'h-1',
  orchestrator: 'margay',
  workload: 'web',
  endpoint: 'eth0',
  interfaceName: 'mgy0123456789a',
  ipNetworks: ['10.65.0.1'],
}

test('a new workload endpoint gets its name and its labels', () => {
  const given = a('WorkloadEndpoint', endpoint, '', 'prod')
  const made = prepareCreate(
    { ...given, metadata: { ...given.metadata, labels: { app: 'web', 'projectcalico.org/namespace': 'forged' } } },
    NOW,
    'u',
  )
  assert.is(made.metadata.name, 'h--1-margay-web-eth0')
  assert.equal(made.metadata.labels, { app: 'web', 'projectcalico.org/namespace': 'prod', 'projectcalico.org/orchestrator': 'margay' })
  assert.equal(made.spec.ipNetworks, ['10.65.0.1/32'] as unknown as typeof made.spec.ipNetworks)
})

test('an update keeps identity, status and unknown members, and replaces labels', () => {
  const text =
    '{"metadata":{"name":"h1","uid":"u","creationTimestamp":"t","generation":4,"labels":{"a":"1","b":"2"}},"spec":{"later":1,"bgp":{"ipv4Address":"192.0.2.1/24"}},"status":{"wireguardPublicKey":"jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY="}}'
  const stored = decodeResource('Node', text, 9)
  const given = a('Node', { bgp: { ipv4Address: '192.0.2.2/24' } }, 'h1')
  assert.equal(prepareUpdate(stored, { ...given, metadata: { name: 'h1', uid: 'other', labels: { a: '3' } } }), {
    apiVersion: API_VERSION,
    kind: 'Node',
    metadata: { name: 'h1', uid: 'u', creationTimestamp: 't', generation: 4, resourceVersion: '9', labels: { a: '3' } },
    spec: { bgp: { ipv4Address: '192.0.2.2/24' }, later: 1 },
    status: { wireguardPublicKey: 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY=' },
  } as unknown as ResourceTypes['Node'])
})

test('what blocks were made by can’t change', () => {
  const stored = decodeResource('IPPool', '{"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16"}}', 9)
  assert.throws(
    () => prepareUpdate(stored, a('IPPool', { cidr: '10.66.0.0/16', blockSize: 28 }, 'p')),
    (error: Error) =>
      assert.is(
        error.message,
        "IPPool \"p\" can't be changed so: spec.cidr: can't change from 10.65.0.0/16 to 10.66.0.0/16: create another pool; spec.blockSize: can't change from 26 to 28: create another pool",
      ) ?? true,
  )
  assert.is(prepareUpdate(stored, a('IPPool', { cidr: '10.65.0.0/16', disabled: true }, 'p')).spec.disabled, true)
  const forServices = decodeResource('IPPool', '{"metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","allowedUses":["LoadBalancer"]}}', 9)
  assert.throws(
    () => prepareUpdate(forServices, a('IPPool', { cidr: '10.65.0.0/16' }, 'p')),
    (error: Error) =>
      error.message === 'IPPool "p" can\'t be changed so: spec.allowedUses: can\'t change from LoadBalancer to Workload, Tunnel',
  )
})

test('a pool for namespaces is not for tunnels, and settings of controllers always have the controllers', () => {
  const pool = prepareCreate(a('IPPool', { cidr: '10.65.0.0/16', namespaceSelector: 'has(x)' }, 'p'), NOW, 'u')
  assert.equal(pool.spec.allowedUses, ['Workload'])
  const controllers = prepareCreate(a('KubeControllersConfiguration', { logSeverityScreen: 'Error' }, 'default'), NOW, 'u')
  assert.equal(controllers.spec, { logSeverityScreen: 'Error', healthChecks: 'Enabled', controllers: {} })
})

const names = [
  [{ node: 'h1', orchestrator: 'k8s', pod: 'web-1', endpoint: 'eth0' }, 'h1-k8s-web--1-eth0'],
  [{ node: 'h1', orchestrator: 'cni', containerID: 'abc', endpoint: 'eth0' }, 'h1-cni-abc-eth0'],
  [{ node: 'h1', orchestrator: 'libnetwork', endpoint: '6b2e' }, 'h1-libnetwork-libnetwork-6b2e'],
  [{ node: 'a-b', orchestrator: 'margay', workload: 'c--d', endpoint: 'eth0' }, 'a--b-margay-c----d-eth0'],
] as const
for (const [identity, want] of names) {
  test(`${want} is the name of its identity`, () => assert.is(workloadEndpointName(identity), want))
}

test('a part that would make names ambiguous is refused', () => {
  assert.throws(
    () => workloadEndpointName({ node: 'h1-', orchestrator: 'margay', workload: 'w', endpoint: 'e' }),
    /node "h1-" of a workload endpoint begins or ends with "-"/,
  )
  assert.throws(
    () => workloadEndpointName({ node: 'h1', orchestrator: 'cni', workload: 'w', endpoint: 'e' }),
    /a workload endpoint needs containerID/,
  )
  assert.is(workloadEndpointPrefix('h-1'), 'h--1-')
})

test.run()
