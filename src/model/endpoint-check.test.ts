import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkEndpointPorts, checkInterfaceName } from './endpoint-check.ts'

const test = suite('model/endpoint-check')

const NAME = 'up to 15 lower-case letters, digits and inner "-", at least one letter'

const ports: readonly (readonly [Parameters<typeof checkEndpointPorts>[0], readonly string[]])[] = [
  [undefined, []],
  [[{ name: 'http', protocol: 'TCP', port: 80 }], []],
  [[{ name: 'a-1-b', protocol: 132, port: 65_535 }], []],
  [
    [
      { name: 'dns', protocol: '17', port: 53 },
      { name: 'dns', protocol: 'TCP', port: 53 },
    ],
    [],
  ],
  [[{ protocol: 'TCP', port: 80, hostPort: 8080 }], []],
  [[{ protocol: 'TCP', port: 80 }], ['spec.ports[0].name: is required, unless there is a hostPort']],
  [[{ name: 'http', port: 80 }], ['spec.ports[0].protocol: is required (TCP, UDP or SCTP)']],
  [[{ name: 'http', protocol: 123, port: 80 }], ['spec.ports[0].protocol: 123 has no ports: one of TCP, UDP, SCTP']],
  [[{ name: 'http', protocol: 'UDPLite', port: 80 }], ['spec.ports[0].protocol: UDPLite has no ports: one of TCP, UDP, SCTP']],
  [[{ name: 'http', protocol: 'TCP', port: 0 }], ['spec.ports[0].port: 0 is not a port (1 to 65535)']],
  [[{ name: '80', protocol: 'TCP', port: 80 }], [`spec.ports[0].name: "80" is not a port name (${NAME})`]],
  [[{ name: 'a--b', protocol: 'TCP', port: 80 }], [`spec.ports[0].name: "a--b" is not a port name (${NAME})`]],
  [[{ name: 'sixteen-letters-', protocol: 'TCP', port: 80 }], [`spec.ports[0].name: "sixteen-letters-" is not a port name (${NAME})`]],
]
for (const [given, want] of ports) {
  test(`ports ${JSON.stringify(given)}`, () =>
    assert.equal(
      checkEndpointPorts(given).map(({ path, message }) => `${path}: ${message}`),
      want,
    ))
}

const interfaces: readonly (readonly [string, boolean])[] = [
  ['eth0', true],
  ['Valid_Iface.0-9', true],
  ['interfaceTooLong', false],
  ['eth0:1', false],
  ['a b', false],
  ['', false],
]
for (const [name, isOne] of interfaces) {
  test(`${JSON.stringify(name)} is ${isOne ? '' : 'not '}an interface`, () => assert.is(checkInterfaceName(name) === undefined, isOne))
}

test.run()
