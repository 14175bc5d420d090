import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readResource } from '../codec.ts'
import type { WorkloadEndpoint } from '../workload-endpoint.ts'
import type { Service } from './service.ts'
import { serviceMembers } from './service-members.ts'

const test = suite('model/own/service-members')

type Given = Readonly<Record<string, unknown>>

function aService(spec: Given): Service {
  const { resource } = readResource('Service', { metadata: { name: 's', namespace: 'n' }, spec })
  if (resource === undefined) throw new Error('no service was read')
  return resource
}

function anEndpoint(
  name: string,
  given: { readonly namespace?: string; readonly labels?: Given; readonly spec?: Given },
): WorkloadEndpoint {
  const { namespace = 'n', labels = { app: 'web' }, spec = {} } = given
  const whole = { ipNetworks: ['10.65.0.1/32', '2001:db8::1/128'], ...spec }
  const { resource } = readResource('WorkloadEndpoint', { metadata: { name, namespace, labels }, spec: whole })
  if (resource === undefined) throw new Error('no endpoint was read')
  return resource
}

const WEB = { selector: { app: 'web' } }
const BOTH = ['10.65.0.1', '2001:db8::1']

const cases: readonly (readonly [string, Given, Parameters<typeof anEndpoint>[1], object | undefined])[] = [
  ['an endpoint with the labels, without ports', WEB, {}, { addresses: BOTH, ports: [] }],
  ['all labels must be there', { selector: { app: 'web', v: '1' } }, {}, undefined],
  ['a label with another value', WEB, { labels: { app: 'db' } }, undefined],
  ['what every object has in JavaScript is no label', { selector: { constructor: 'x' } }, {}, undefined],
  ['another namespace', WEB, { namespace: 'm' }, undefined],
  ['without a selector nobody is a member', {}, {}, undefined],
  ['an endpoint without addresses', WEB, { spec: { ipNetworks: [] } }, undefined],
  ['one IP version', { ...WEB, ipFamilies: ['IPv6'] }, {}, { addresses: ['2001:db8::1'], ports: [] }],
  ['no address of the IP version', { ...WEB, ipFamilies: ['IPv6'] }, { spec: { ipNetworks: ['10.65.0.1/32'] } }, undefined],
  [
    'ports: their own number, another, or by name',
    {
      ...WEB,
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 81, targetPort: 8080, protocol: 'UDP' },
        { name: 'c', port: 82, targetPort: 'http' },
        { name: 'd', port: 83, targetPort: 'dns', protocol: 'UDP' },
        { name: 'e', port: 84, targetPort: 'http', protocol: 'UDP' },
        { name: 'f', port: 85, targetPort: 'other' },
      ],
    },
    {
      spec: {
        ports: [
          { name: 'http', port: 8000, protocol: 'TCP' },
          { name: 'dns', port: 5353, protocol: 17 },
        ],
      },
    },
    {
      addresses: BOTH,
      ports: [
        { name: 'a', protocol: 'TCP', port: 80 },
        { name: 'b', protocol: 'UDP', port: 8080 },
        { name: 'c', protocol: 'TCP', port: 8000 },
        { name: 'd', protocol: 'UDP', port: 5353 },
      ],
    },
  ],
]
for (const [title, spec, endpoint, want] of cases) {
  test(title, () => {
    const members = serviceMembers(aService(spec), [anEndpoint('w', endpoint)])
    assert.equal(members, want === undefined ? [] : [{ endpoint: 'n/w', ...want }])
  })
}

test.run()
