import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy, aHostEndpoint, aPacket, aProfile, aStagedGlobalPolicy, aTier, byId } from '../../test/support/policies.ts'
import type { ModelKind, ModelTypes } from '../model/kinds.ts'
import type { Service } from '../model/own/service.ts'
import type { StagedKubernetesNetworkPolicy } from '../model/staged-kubernetes-network-policy.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { PathPacket } from './evaluate-path.ts'
import { type ExplainedPath, explainPath } from './explain.ts'
import { findPolicedHost, type ResourceMaps, readPolicies } from './explain-host.ts'

const test = suite('policy/explain')

const API = 'projectcalico.org/v3'

function aWorkload(name: string, address: string, spec: Partial<WorkloadEndpoint['spec']> = {}): WorkloadEndpoint {
  const metadata = { name: `h1-margay-${name}-eth0`, namespace: 'shop', labels: { app: name } }
  const own = { node: 'h1', interfaceName: `mgy-${name}`, ipNetworks: [parseInterfaceAddress(`${address}/32`)] }
  return { apiVersion: API, kind: 'WorkloadEndpoint', metadata, spec: { ...own, ...spec } }
}

const web = aWorkload('web', '10.65.0.2')
const db = aWorkload('db', '10.65.0.3', { ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }] })

/** The host h1 with these resources beside its two workloads, which all profiles but `kns.shop` leave closed. */
function mapsOf(...resources: readonly (ModelTypes[ModelKind] & { readonly kind: string })[]): ResourceMaps {
  const all = [web, db, aTier('default', { order: 1 }), ...resources] as readonly Parameters<typeof byId>[0][number][]
  return {
    get: <K extends ModelKind>(kind: K) => byId(all.filter((one) => one.kind === kind)) as ReadonlyMap<string, ModelTypes[K]>,
  }
}

function ask(maps: ResourceMaps, text: string, ways: Pick<PathPacket, 'inInterface' | 'outInterface'>): ExplainedPath {
  const packet: PathPacket = { ...aPacket(text), state: 'new', ...ways }
  const read = readPolicies(maps)
  const host = findPolicedHost(maps, read, {
    node: 'h1',
    felix: {},
    known: { interfaces: [{ name: 'eth0', addresses: [parseIp('192.0.2.1')] }], uplink: 'eth0', assumption: undefined },
    implicit: [{ name: 'BGP', protocol: 6, port: 179, isPeer: (ip) => ip === '192.0.2.2' }],
    isWorkloadInterface: (name) => name.startsWith('mgy'),
    interfaces: [ways.inInterface ?? '', ways.outInterface ?? ''],
    addresses: [packet.source.address, packet.destination.address],
  })
  return explainPath({ maps, read }, host, packet)
}

/** `place endpoint: verdict` and what was looked at. */
function show({ verdict, stagedVerdict, steps }: ExplainedPath): readonly string[] {
  const lines = steps.map(({ place, endpoint, verdict: found, because, checks }) =>
    [`${place} ${endpoint ?? '-'}: ${found}`, because ?? '', ...checks.map(({ name, text }) => `${name ?? '-'}: ${text}`)]
      .filter((part) => part !== '')
      .join(' | '),
  )
  return [verdict === stagedVerdict ? verdict : `${verdict}, staged ${stagedVerdict}`, ...lines]
}

const toDb = { inInterface: 'mgy-web', outInterface: 'mgy-db' }
const intoDb = { inInterface: 'eth0', outInterface: 'mgy-db' }
const workloadDb = 'to-workload workload endpoint shop/h1-margay-db-eth0'
const hostEth0 = 'host endpoint eth0'

test('a profile that is not there denies, and is named', () => {
  const maps = mapsOf(aWorkload('db', '10.65.0.3', { profiles: ['gone'] }))
  assert.equal(show(ask(maps, 'tcp 10.65.9.9:1 > 10.65.0.3:80', intoDb)), [
    'deny',
    `${workloadDb}: deny | gone: there is no such profile: Deny`,
  ])
})

test('a rule is found by the selector of its own namespace, by the name of a port, and by a Service', () => {
  const service: Service = {
    apiVersion: API,
    kind: 'Service',
    metadata: { name: 'front', namespace: 'shop' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
  }
  const sql = aGlobalPolicy('sql', {
    selector: "app == 'db'",
    types: ['Ingress'],
    ingress: [
      { action: 'Deny', protocol: 'TCP', source: { selector: "app == 'gone'" } },
      { action: 'Allow', protocol: 'TCP', source: { selector: "app == 'web'" }, destination: { ports: ['sql'] } },
      { action: 'Deny', source: { services: { name: 'front', namespace: 'shop' } } },
    ],
  })
  const egress = aGlobalPolicy('out', { selector: "app == 'web'", types: ['Egress'], egress: [{ action: 'Allow' }] })
  const maps = mapsOf(sql, egress, service)
  const out = 'from-workload workload endpoint shop/h1-margay-web-eth0: allow | GlobalNetworkPolicy out: egress rule 0: Allow everything'
  assert.equal(show(ask(maps, 'tcp 10.65.0.2:1 > 10.65.0.3:5432', toDb)), [
    'allow',
    out,
    `${workloadDb}: allow | GlobalNetworkPolicy sql: ingress rule 1: Allow TCP from "app == 'web'" to port sql`,
  ])
  assert.equal(show(ask(maps, 'tcp 10.65.0.2:1 > 10.65.0.3:80', toDb)), [
    'deny',
    out,
    `${workloadDb}: deny | GlobalNetworkPolicy sql: ingress rule 2: Deny from service shop/front`,
  ])
})

test('what is sent before connection tracking is asked of the egress rules', () => {
  const policy = aGlobalPolicy('raw', {
    doNotTrack: true,
    applyOnForward: true,
    ingress: [{ action: 'Allow' }],
    egress: [{ action: 'Deny', protocol: 'UDP' }],
    types: ['Ingress', 'Egress'],
  })
  const maps = mapsOf(aHostEndpoint('eth0', { interfaceName: 'eth0' }), policy)
  assert.equal(show(ask(maps, 'udp 192.0.2.1:1 > 192.0.2.9:9', { outInterface: 'eth0' })), [
    'deny',
    `untracked ${hostEth0}: deny | GlobalNetworkPolicy raw: egress rule 0: Deny UDP`,
  ])
  assert.equal(show(ask(maps, 'udp 192.0.2.9:1 > 192.0.2.1:9', { inInterface: 'eth0' })), [
    'allow',
    `untracked ${hostEth0}: allow | GlobalNetworkPolicy raw: ingress rule 0: Allow everything`,
    'to-host -: none | allowed before connection tracking or NAT',
  ])
})

test('failsafes and implicit allows are said', () => {
  const maps = mapsOf(aHostEndpoint('eth0', { interfaceName: 'eth0' }))
  const received = { inInterface: 'eth0' }
  assert.equal(show(ask(maps, 'tcp 192.0.2.9:1 > 192.0.2.1:22', received)), ['allow', `to-host ${hostEth0}: none | a failsafe port`])
  assert.equal(show(ask(maps, 'tcp 192.0.2.2:1 > 192.0.2.1:179', received)), ['allow', 'to-host -: none | BGP'])
})

test('staged policies tell what they would do on the whole way, also what Kubernetes would make of them', () => {
  const staged: StagedKubernetesNetworkPolicy = {
    apiVersion: API,
    kind: 'StagedKubernetesNetworkPolicy',
    metadata: { name: 'only-web', namespace: 'shop' },
    spec: { stagedAction: 'Set', podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'], ingress: [] },
  }
  const open = aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] })
  const maps = mapsOf(open, aWorkload('db', '10.65.0.3', { profiles: ['open'] }), staged)
  assert.equal(show(ask(maps, 'tcp 192.0.2.9:1 > 10.65.0.3:80', intoDb)), [
    'allow, staged deny',
    `${workloadDb}: allow | StagedKubernetesNetworkPolicy shop/only-web: none of its 0 ingress rules matches | open: ingress rule 0: Allow everything`,
  ])
})

test('a staged policy takes the place of the enforced one of its name', () => {
  const spec = { selector: "app == 'db'", types: ['Ingress'] } as const
  const maps = mapsOf(
    aGlobalPolicy('db', { ...spec, ingress: [{ action: 'Deny' }] }),
    aStagedGlobalPolicy('db', { ...spec, ingress: [{ action: 'Allow' }] }),
  )
  assert.is(show(ask(maps, 'tcp 192.0.2.9:1 > 10.65.0.3:80', intoDb))[0], 'deny, staged allow')
})

test('a policy that cannot be read hinders no other, and is named', () => {
  const maps = mapsOf(aGlobalPolicy('bad', { selector: 'a ==' }), aGlobalPolicy('good', {}))
  const { policies, problems } = readPolicies(maps)
  assert.equal(
    policies.map(({ name }) => name),
    ['good'],
  )
  assert.match(problems.join(), /^GlobalNetworkPolicy bad is left out: /)
})

test.run()
