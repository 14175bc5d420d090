import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Interface } from '../kernel/table.ts'
import type { InterfaceAddress } from '../net/cidr.ts'
import { type DetectInput, detectAddress } from './detect.ts'

const test = suite('daemon/detect')

function anInterface(name: string, addresses: readonly string[], more: Partial<Interface> = {}): Interface {
  return {
    name,
    index: 1,
    kind: undefined,
    mac: '02:00:00:00:00:01',
    mtuBytes: 1500,
    isUp: true,
    isLoopback: name === 'lo',
    addresses: addresses.map((address) => ({ address, scope: 'global' as const, isDeprecated: false, isTentative: false })),
    ...more,
  }
}

const two = [
  anInterface('lo', ['127.0.0.1/8']),
  anInterface('docker0', ['172.17.0.1/16']),
  anInterface('eth0', ['192.0.2.10/24', '192.0.2.11/24', '2001:db8::10/64']),
  anInterface('eth1', ['198.51.100.10/24']),
]
const one = two.slice(0, 3)

function detect(given: Partial<DetectInput> & { readonly method?: string; readonly address?: string }) {
  const { method = 'first-found', address = 'autodetect', ...rest } = given
  return detectAddress({ family: 4, config: { address, method }, interfaces: two, stored: undefined, sourceTo: undefined, ...rest })
}

const found = [
  { name: 'one interface that is no container bridge is the underlay', given: { interfaces: one }, want: '192.0.2.10/24' },
  {
    name: 'the stored address stays while it is a candidate',
    given: { stored: '198.51.100.10/24' as InterfaceAddress },
    want: '198.51.100.10/24',
  },
  {
    name: 'a second address of the one interface stays when it is stored',
    given: { interfaces: one, stored: '192.0.2.11/24' as InterfaceAddress },
    want: '192.0.2.11/24',
  },
  { name: 'of two, the one that etcd is reached from is taken', given: { sourceTo: '198.51.100.10' }, want: '198.51.100.10/24' },
  { name: 'interface= takes a name', given: { method: 'interface=eth1' }, want: '198.51.100.10/24' },
  { name: 'interface= takes a bridge that first-found would not', given: { method: 'interface=docker0' }, want: '172.17.0.1/16' },
  { name: 'skip-interface= leaves one out', given: { method: 'skip-interface=eth0' }, want: '198.51.100.10/24' },
  { name: 'cidr= takes the address inside', given: { method: 'cidr=203.0.113.0/24,198.51.100.0/24' }, want: '198.51.100.10/24' },
  {
    name: 'can-reach= takes the source of the route',
    given: { method: 'can-reach=198.51.100.1', sourceTo: '198.51.100.10' },
    want: '198.51.100.10/24',
  },
  { name: 'a given address takes its length from the interface', given: { address: '192.0.2.11' }, want: '192.0.2.11/24' },
  { name: 'a given length stands', given: { address: '192.0.2.10/32' }, want: '192.0.2.10/32' },
  { name: 'none is none', given: { address: 'none' }, want: undefined },
  { name: 'nothing is no error where it may be absent', given: { address: 'autodetect-if-present', interfaces: [] }, want: undefined },
  { name: 'IPv6 is found beside IPv4', given: { family: 6 as const }, want: '2001:db8::10/64' },
]
for (const { name, given, want } of found) test(name, () => assert.is(detect(given)?.address, want))

const refused = [
  {
    name: 'two interfaces are refused with both',
    given: {},
    want: /fits 2 interfaces; candidates: 192\.0\.2\.10\/24 on eth0, 198\.51\.100\.10\/24 on eth1/,
  },
  {
    name: 'a wrong interface is refused with the candidates',
    given: { method: 'interface=ens3' },
    want: /"interface=ens3"; candidates: 172\.17/,
  },
  {
    name: 'an unreachable destination is refused',
    given: { method: 'can-reach=203.0.113.1' },
    want: /fits method "can-reach=203\.0\.113\.1"/,
  },
  {
    name: 'an address that no interface has is refused',
    given: { address: '192.0.2.99' },
    want: /no interface that is up has the configured address 192\.0\.2\.99; candidates/,
  },
  {
    name: 'an interface that is down does not count',
    given: { interfaces: [anInterface('eth0', ['192.0.2.10/24'], { isUp: false })] },
    want: /no interface that is up has a global address/,
  },
  { name: 'a bad pattern is named', given: { method: 'interface=eth(' }, want: /"eth\(" is not a regular expression/ },
]
for (const { name, given, want } of refused) test(name, () => assert.throws(() => detect(given), want))

test.run()
