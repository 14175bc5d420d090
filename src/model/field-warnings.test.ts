import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeResource } from './codec.ts'
import { fieldWarnings } from './field-warnings.ts'
import type { AnyResource, ResourceKind } from './kinds.ts'

const test = suite('model/field-warnings')

const STORED = 'is kept for Calico, margay does not act on it'
const LATER = 'is kept, this version of margay does not act on it yet'

const cases: readonly { name: string; kind: ResourceKind; spec: unknown; want: readonly string[] }[] = [
  { name: 'fields that margay acts on', kind: 'IPReservation', spec: { reservedCIDRs: ['192.0.2.1'] }, want: [] },
  {
    name: 'a kind that margay does not act on yet',
    kind: 'BGPPeer',
    spec: { peerIP: '192.0.2.1', asNumber: 64496 },
    want: [`: BGPPeer ${LATER}`],
  },
  {
    name: "a rule's http, once for all rules",
    kind: 'GlobalNetworkPolicy',
    spec: {
      performanceHints: ['AssumeNeededOnEveryNode'],
      ingress: [
        { action: 'Deny' },
        { action: 'Allow', http: { methods: ['GET'], paths: [{ exact: '/' }, { exact: '/a' }] } },
        { action: 'Allow', http: { methods: ['PUT'] } },
      ],
    },
    want: [
      "spec.ingress[1].http: is kept for Calico; margay can't look into requests, so an Allow rule with it allows nothing",
      `spec.performanceHints: ${STORED}`,
    ],
  },
  {
    name: 'fields of one kind that differ',
    kind: 'FelixConfiguration',
    spec: { bpfEnabled: true, wireguardEnabled: true, vxlanPort: 4790, routeTableRanges: [{ min: 1, max: 9 }] },
    want: [`spec.bpfEnabled: ${STORED}`, `spec.routeTableRanges: ${LATER}`, `spec.wireguardEnabled: ${LATER}`],
  },
  {
    name: 'values that say what absent means too',
    kind: 'FelixConfiguration',
    spec: { logSeverityScreen: 'info', wireguardEnabled: false, reportingInterval: '30s', usageReportingEnabled: true },
    want: [],
  },
  {
    name: 'a pool as Calico writes it',
    kind: 'IPPool',
    spec: { cidr: '10.65.0.0/16', ipipMode: 'Never', disableBGPExport: false },
    want: [],
  },
  {
    name: 'a pool in a mode that is not built',
    kind: 'IPPool',
    spec: { cidr: '10.65.0.0/16', ipipMode: 'Always' },
    want: [`spec.ipipMode: ${LATER}`],
  },
  {
    name: "a workload's limits, as one",
    kind: 'WorkloadEndpoint',
    spec: { node: 'h1', ports: [{ name: 'a', port: 1, hostPort: 80 }], qosControls: { ingressBandwidth: 1000, dscp: 'EF' } },
    want: [`spec.ports[0].hostPort: ${STORED}`, `spec.qosControls: ${STORED}`],
  },
  {
    name: 'a kind that is for Calico alone',
    kind: 'IPAMConfiguration',
    spec: {},
    want: [': IPAMConfiguration decides nothing with etcd, neither here nor in Calico: use "margay ipam configure"'],
  },
  {
    name: 'settings of BGP that say what absent means too',
    kind: 'BGPConfiguration',
    spec: { logSeverityScreen: 'Info', nodeToNodeMeshEnabled: true, asNumber: 64_512 },
    want: [],
  },
  {
    name: 'a password from Kubernetes beside what a later version acts on',
    kind: 'BGPPeer',
    spec: { peerIP: '192.0.2.1', asNumber: 64_496, password: { secretKeyRef: { key: 'k' } } },
    want: [`: BGPPeer ${LATER}`, `spec.password: ${STORED}`],
  },
  { name: 'a filter without rules', kind: 'BGPFilter', spec: {}, want: [`: BGPFilter ${LATER}`] },
  {
    name: 'settings of controllers',
    kind: 'KubeControllersConfiguration',
    spec: { controllers: { policy: { reconcilerPeriod: '1m' }, node: { hostEndpoint: { autoCreate: 'Enabled' }, syncLabels: 'Enabled' } } },
    want: [`spec.controllers.policy.reconcilerPeriod: ${STORED}`],
  },
]
for (const { name, kind, spec, want } of cases) {
  test(name, () => {
    const resource = decodeResource(kind, JSON.stringify({ metadata: { name: 'default' }, spec }), 1) as AnyResource
    assert.equal(
      fieldWarnings(resource).map(({ path, message }) => `${path}: ${message}`),
      want,
    )
    for (const { message, tag } of fieldWarnings(resource)) assert.is(tag, message.includes(LATER) ? 'later' : 'stored')
  })
}

test.run()
