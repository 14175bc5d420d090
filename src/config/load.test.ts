import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError, type ConfigSources, load } from './load.ts'
import { SETTINGS } from './schema.ts'

const test = suite('config/load')

const ETCD = '"etcd": {"endpoints": ["http://192.0.2.1:2379"]}'

function loadText(text: string, more: Partial<ConfigSources> = {}) {
  return load({ file: { path: 'c.json', text }, hostname: 'H1', ...more })
}

function faultsOf(sources: ConfigSources): readonly string[] {
  try {
    load({ hostname: 'h1', ...sources })
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n  ').slice(1)
    throw error
  }
  return []
}

test('defaults, file, environment and flags are laid over each other in this order', () => {
  const text = `{ // who we are
    "mode": "vxlan", "health": {"port": 1, "host": "192.0.2.9"}, ${ETCD}, }`
  const { config, sources } = loadText(text, {
    env: { MARGAY_HEALTH_PORT: '2', MARGAY_LOG_LEVEL: 'warn', PATH: '/bin' },
    flags: new Map([['log.level', 'debug']]),
  })
  assert.equal(config.mode, 'vxlan')
  assert.equal(config.health, { enabled: true, host: '192.0.2.9', port: 2 })
  assert.is(config.log.level, 'debug')
  assert.is(config.node.name, 'h1')
  assert.is(sources.get('mode'), 'c.json:2:5')
  assert.is(sources.get('health.port'), 'MARGAY_HEALTH_PORT')
  assert.is(sources.get('log.level'), '--log-level')
  assert.is(sources.get('node.name'), 'host name')
  assert.is(sources.get('api.socket'), 'default')
})

test('an empty file is no fault, and neither is a dotted label key', () => {
  assert.is(loadText('', { env: { MARGAY_ETCD_EMBEDDED: 'Yes' } }).config.etcd.embedded, true)
  const labels = { 'example.com/rack': 'r1', b: '' }
  assert.equal(loadText(`{"node": {"labels": ${JSON.stringify(labels)}}, ${ETCD}}`).config.node.labels, { b: '', 'example.com/rack': 'r1' })
  const env = { MARGAY_NODE_LABELS: 'b=, example.com/rack = r1' }
  assert.equal(loadText(`{${ETCD}}`, { env }).config.node.labels, { b: '', 'example.com/rack': 'r1' })
})

/** Each file beside a valid etcd, and the one fault that is found. */
const files: readonly (readonly [file: string, fault: string])[] = [
  ['"mdoe": "vxlan"', 'c.json:1:2: mdoe: unknown key: did you mean "mode"?'],
  ['"health": {"prot": 1}', 'c.json:1:13: health.prot: unknown key: did you mean "health.port"?'],
  ['"caFile": "/a"', 'c.json:1:2: caFile: unknown key: did you mean "etcd.caFile"?'],
  ['"zzzzzz": 1', 'c.json:1:2: zzzzzz: unknown key'],
  ['"__proto__": {"a": 1}', 'c.json:1:2: __proto__: unknown key'],
  ['"mode": "vxlan", "mode": "direct"', 'c.json:1:19: mode: given twice, first at line 1:2'],
  ['"log": "debug"', 'c.json:1:2: log: "debug" is not a group of keys, give { … }'],
  ['"log": null', 'c.json:1:2: log: null is not a group of keys, give { … }'],
  ['"mode": "bgp"', 'c.json:1:2: mode: "bgp" is not built in this version, give vxlan-cross-subnet, vxlan or direct'],
  ['"mode": "ipip"', 'c.json:1:2: mode: "ipip" is not built in this version, give vxlan-cross-subnet, vxlan or direct'],
  [
    '"mode": "ipip-cross-subnet"',
    'c.json:1:2: mode: "ipip-cross-subnet" is not built in this version, give vxlan-cross-subnet, vxlan or direct',
  ],
  ['"mode": "wireguard"', 'c.json:1:2: mode: "wireguard" is not built in this version, give vxlan-cross-subnet, vxlan or direct'],
  ['"mode": "vlan"', 'c.json:1:2: mode: "vlan" is not a mode, give vxlan-cross-subnet, vxlan or direct'],
  ['"mode": 4', 'c.json:1:2: mode: 4 is not text, give it in double quotes'],
  ['"health": {"port": "80"}', 'c.json:1:13: health.port: "80" is not a port, give a whole number from 1 to 65535 without quotes'],
  ['"health": {"port": 0}', 'c.json:1:13: health.port: 0 is not a port, give a whole number from 1 to 65535'],
  ['"health": {"port": 80.5}', 'c.json:1:13: health.port: 80.5 is not a port, give a whole number from 1 to 65535'],
  ['"health": {"enabled": "true"}', 'c.json:1:13: health.enabled: "true" is not a switch, give true or false without quotes'],
  ['"health": {"enabled": 0}', 'c.json:1:13: health.enabled: 0 is not a switch, give true or false without quotes'],
  ['"health": {"host": "localhost"}', 'c.json:1:13: health.host: "localhost" is not an IP address, give one such as 127.0.0.1 or ::1'],
  ['"log": {"level": "trace"}', 'c.json:1:10: log.level: "trace" is not a log level, give debug, info, warn or error'],
  [
    '"node": {"name": "Host_1"}',
    'c.json:1:11: node.name: "Host_1" is not a node name (RFC 1123), give lower-case letters, digits, "-" and "." as in host-1.example',
  ],
  ['"node": {"name": "Host-1"}', 'c.json:1:11: node.name: "Host-1" is not a node name (RFC 1123), give host-1'],
  [
    '"node": {"labels": {"a b": "c"}}',
    'c.json:1:11: node.labels: "a b" is not a label key, give letters, digits, "-", "_" and "." (at most 63), as in rack or example.com/rack',
  ],
  ['"node": {"labels": {"a": 1}}', 'c.json:1:11: node.labels: the label "a" has the value 1, give text in double quotes'],
  ['"node": {"labels": ["a"]}', 'c.json:1:11: node.labels: "a" is not a label, give key=value'],
  ['"paths": {"run": "run"}', 'c.json:1:12: paths.run: "run" is not an absolute path, give one that begins with /'],
  ['"paths": {"run": ""}', 'c.json:1:12: paths.run: "" is not an absolute path, give one that begins with /'],
  [
    `"api": {"socket": "/${'a'.repeat(107)}"}`,
    `c.json:1:10: api.socket: "/${'a'.repeat(75)}… has 108 bytes, the path of a unix socket has at most 107`,
  ],
  [
    '"pools": {"ipv4": {"cidr": "10.65.0.1/16"}}',
    'c.json:1:21: pools.ipv4.cidr: "10.65.0.1/16" has host bits set, the prefix is 10.65.0.0/16, give auto, none or an IPv4 prefix such as 10.65.0.0/16',
  ],
  [
    '"pools": {"ipv4": {"cidr": "fd00::/48"}}',
    'c.json:1:21: pools.ipv4.cidr: "fd00::/48" is an IPv6 prefix, give auto, none or an IPv4 prefix such as 10.65.0.0/16',
  ],
  [
    '"pools": {"ipv4": {"cidr": "169.254.0.0/20"}}',
    'c.json:1:21: pools.ipv4.cidr: "169.254.0.0/20" overlaps 169.254.0.0/16, give auto, none or an IPv4 prefix such as 10.65.0.0/16',
  ],
  [
    '"pools": {"ipv6": {"cidr": "fe80::/64"}}',
    'c.json:1:21: pools.ipv6.cidr: "fe80::/64" overlaps fe80::/10, give auto, none or an IPv6 prefix such as fd00:65::/48',
  ],
  ['"pools": {"ipv4": {"blockSize": 19}}', 'c.json:1:21: pools.ipv4.blockSize: 19 is not a block size, give a whole number from 20 to 32'],
  [
    '"pools": {"ipv6": {"blockSize": 64}}',
    'c.json:1:21: pools.ipv6.blockSize: 64 is not a block size, give a whole number from 116 to 128',
  ],
  [
    '"pools": {"ipv4": {"nodeSelector": ""}}',
    'c.json:1:21: pools.ipv4.nodeSelector: "" selects nothing, give all() or a selector such as rack == "r1"',
  ],
  [
    '"address": {"ipv4": {"address": "192.0.2.300"}}',
    'c.json:1:23: address.ipv4.address: not an IP address: "192.0.2.300", give autodetect, autodetect-if-present, none or an IPv4 address such as 192.0.2.10/24',
  ],
  [
    '"address": {"ipv4": {"address": "2001:db8::1"}}',
    'c.json:1:23: address.ipv4.address: "2001:db8::1" is an IPv6 address, give autodetect, autodetect-if-present, none or an IPv4 address such as 192.0.2.10/24',
  ],
  [
    '"address": {"ipv4": {"address": "127.0.0.1/8"}}',
    'c.json:1:23: address.ipv4.address: "127.0.0.1/8" is a loopback address, other hosts cannot reach it; give autodetect, autodetect-if-present, none or an IPv4 address such as 192.0.2.10/24',
  ],
  [
    '"address": {"ipv4": {"method": "can-reach"}}',
    'c.json:1:23: address.ipv4.method: "can-reach" is not a detection method, give first-found, can-reach=DESTINATION, interface=REGEX,…, skip-interface=REGEX,… or cidr=CIDR,…',
  ],
  [
    '"address": {"ipv4": {"method": "interface=eth[0"}}',
    'c.json:1:23: address.ipv4.method: "eth[0" is not a regular expression, give one such as ^eth[0-9]+',
  ],
  [
    '"address": {"ipv4": {"address": "none"}, "ipv6": {"address": "none"}}',
    'c.json:1:23 and c.json:1:52: address.ipv4.address: none for both families, a host needs an underlay address of at least one',
  ],
  [
    '"pools": {"ipv4": {"cidr": "10.65.0.0/27"}}',
    'c.json:1:21: pools.ipv4.cidr: "10.65.0.0/27" is too small for one block of /26, give a prefix of /26 or shorter, or a longer pools.ipv4.blockSize',
  ],
  [
    '"pools": {"create": false, "ipv4": {"cidr": "10.65.0.0/16"}}',
    'c.json:1:38 and c.json:1:12: pools.ipv4.cidr: has no use with pools.create: false, give one of the two',
  ],
  [
    '"networking": {"enabled": false}, "pools": {"ipv4": {"cidr": "10.65.0.0/16"}}',
    'c.json:1:55 and c.json:1:17: pools.ipv4.cidr: has no use with networking.enabled: false (policy only)',
  ],
  [
    '"address": {"ipv6": {"address": "none"}}, "pools": {"ipv6": {"cidr": "fd00:65::/48"}}',
    'c.json:1:63 and c.json:1:23: pools.ipv6.cidr: needs an IPv6 underlay address, but address.ipv6.address is none',
  ],
]
for (const [file, fault] of files) {
  test(`{${file}} is refused`, () => {
    assert.equal(faultsOf({ file: { path: 'c.json', text: `{${file}, ${ETCD}}` } }), [fault])
  })
}

/** Each etcd group by itself, and the faults that are found. */
const etcds: readonly (readonly [etcd: string, ...faults: string[]])[] = [
  ['{}', 'etcd.endpoints: no etcd is given, give etcd.endpoints, or etcd.embedded: true on the one host that shall run it'],
  [
    '{"endpoints": ["http://192.0.2.1:2379"], "embedded": true}',
    'c.json:1:11 and c.json:1:51: etcd.endpoints: given together with etcd.embedded: true, give one of the two',
  ],
  [
    '{"endpoints": "http://192.0.2.1:2379"}',
    'c.json:1:11: etcd.endpoints: "http://192.0.2.1:2379" is not a list, give ["http://192.0.2.1:2379"]',
  ],
  [
    '{"endpoints": ["192.0.2.1:2379"]}',
    'c.json:1:11: etcd.endpoints: "192.0.2.1:2379" is not an endpoint, give http://HOST:PORT or https://HOST:PORT',
  ],
  [
    '{"endpoints": ["https://etcd.example"]}',
    'c.json:1:11: etcd.endpoints: "https://etcd.example" has no port, give https://etcd.example:2379',
  ],
  [
    '{"endpoints": ["http://u:secret@192.0.2.1:2379"]}',
    'c.json:1:11: etcd.endpoints: a URL with a user in it, give etcd.username and etcd.passwordFile instead',
  ],
  ['{"endpoints": ["http://192.0.2.1:99999"]}', 'c.json:1:11: etcd.endpoints: "99999" is not a port, give a whole number from 1 to 65535'],
  ['{"endpoints": ["http://192.0.2.1:1", "http://192.0.2.1:1/"]}', 'c.json:1:11: etcd.endpoints: "http://192.0.2.1:1" is given twice'],
  [
    '{"endpoints": ["https://192.0.2.1:1"], "certFile": "/c"}',
    'c.json:1:49: etcd.certFile: given without etcd.keyFile, give both or neither',
  ],
  [
    '{"endpoints": ["http://192.0.2.1:1"], "username": "u"}',
    'c.json:1:48: etcd.username: given without etcd.passwordFile, give both or neither',
  ],
  [
    '{"endpoints": ["http://192.0.2.1:1"], "caFile": "/c"}',
    'c.json:1:48 and c.json:1:11: etcd.caFile: has no use, because no endpoint begins with https://',
  ],
  [
    '{"embedded": true, "embeddedListen": ["192.0.2.1"]}',
    'c.json:1:29: etcd.embeddedListen: 192.0.2.1 can be reached by others, which needs TLS and client certificates: give etcd.embeddedCertFile, etcd.embeddedKeyFile, etcd.embeddedClientCaFile',
  ],
  [
    '{"embedded": true, "embeddedListen": ["0.0.0.0"]}',
    'c.json:1:29: etcd.embeddedListen: "0.0.0.0" stands for every address, give those by which other hosts reach this one, such as 192.0.2.1',
  ],
  [
    '{"embedded": true, "embeddedCertFile": "/c"}',
    'c.json:1:29: etcd.embeddedCertFile: given without etcd.embeddedKeyFile, etcd.embeddedClientCaFile, give all three or none',
  ],
  [
    '{"endpoints": ["http://192.0.2.1:1"], "embeddedListen": ["127.0.0.1"]}',
    'c.json:1:48: etcd.embeddedListen: given without etcd.embedded: true',
  ],
  ['{"endpoints": ["https://[2001:db8::1]:2379", "https://etcd.example:2379"]}'],
  ['{"embedded": true, "embeddedListen": ["127.0.0.1", "::1"]}'],
]
for (const [etcd, ...faults] of etcds) {
  test(`"etcd": ${etcd} is ${faults.length > 0 ? 'refused' : 'taken'}`, () => {
    assert.equal(faultsOf({ file: { path: 'c.json', text: `{"etcd": ${etcd}}` } }), faults)
  })
}

test('all faults of all sources are found together', () => {
  const faults = faultsOf({
    file: { path: '/etc/margay/config.json', text: '{\n  "etcd": {\n    "endpoint": [],\n    "keyFile": 5\n  }\n}' },
    env: { MARGAY_HEALTH_PORT: '80x', MARGAY_ETCD_ENDPOINT: 'x', MARGAY_HEALTH_ENABLED: '' },
    flags: new Map([['mode', 'bgp']]),
    hostname: 'my_host',
  })
  assert.equal(faults, [
    '/etc/margay/config.json:3:5: etcd.endpoint: unknown key: did you mean "etcd.endpoints"?',
    'MARGAY_ETCD_ENDPOINT: unknown variable: did you mean "MARGAY_ETCD_ENDPOINTS"?',
    '/etc/margay/config.json:4:5: etcd.keyFile: 5 is not text, give it in double quotes',
    'MARGAY_HEALTH_PORT: health.port: "80x" is not a port, give a whole number from 1 to 65535',
    'MARGAY_HEALTH_ENABLED: health.enabled: "" is not a switch, give true or false',
    '--mode: mode: "bgp" is not built in this version, give vxlan-cross-subnet, vxlan or direct',
    'host name: node.name: the host name "my_host" cannot name a node, give node.name',
  ])
})

test('what cannot work together is found beside other faults, unless they may be its cause', () => {
  const text =
    '{"helth": {}, "address": {"ipv4": {"address": "none"}, "ipv6": {"address": "none"}}, "pools": {"ipv4": {"cidr": "10.65.0.0/27"}}}'
  assert.equal(faultsOf({ file: { path: 'c.json', text } }), [
    'c.json:1:2: helth: unknown key: did you mean "health"?',
    'c.json:1:36 and c.json:1:65: address.ipv4.address: none for both families, a host needs an underlay address of at least one',
    'c.json:1:105: pools.ipv4.cidr: "10.65.0.0/27" is too small for one block of /26, give a prefix of /26 or shorter, or a longer pools.ipv4.blockSize',
    'c.json:1:105 and c.json:1:36: pools.ipv4.cidr: needs an IPv4 underlay address, but address.ipv4.address is none',
  ])
})

test('every bad item of a list is named', () => {
  const text = '{"etcd": {"endpoints": ["192.0.2.1:2379", "http://192.0.2.2:2379", "http://192.0.2.3"]}}'
  assert.equal(faultsOf({ file: { path: 'c.json', text } }), [
    'c.json:1:11: etcd.endpoints: "192.0.2.1:2379" is not an endpoint, give http://HOST:PORT or https://HOST:PORT; "http://192.0.2.3" has no port, give http://192.0.2.3:2379',
  ])
})

test('the variable that names the command line is not taken for a key', () => {
  assert.equal(faultsOf({ env: { MARGAY_CLI_NAME: 'calicoctl' }, file: { path: 'c.json', text: `{${ETCD}}` } }), [])
})

test('a variable is compared without the prefix that all have', () => {
  const faults = faultsOf({ env: { MARGAY_FOO: '1', MARGAY_MOED: 'vxlan' }, file: { path: 'c.json', text: `{${ETCD}}` } })
  assert.equal(faults, ['MARGAY_FOO: unknown variable', 'MARGAY_MOED: unknown variable: did you mean "MARGAY_MODE"?'])
})

test('a password in a URL is never shown', () => {
  for (const etcd of ['"http://u:secret@192.0.2.1:2379"', '["http://u:secret@192.0.2.1:2379"]', '{"http://u:secret@h:1": 1}']) {
    const faults = faultsOf({ file: { path: 'c.json', text: `{"etcd": {"endpoints": ${etcd}}}` } })
    assert.is(faults.length, 1)
    assert.not.match(faults[0] ?? '', /secret/)
  }
})

test('whatever stands in the file or the environment, the answer is a configuration or a ConfigError', () => {
  const key = fc.constantFrom(...SETTINGS)
  const text = fc.oneof(fc.string(), fc.constantFrom('true', 'no', '10.0.0.0/8', '::/0', '-1', '1e3', 'a=b', 'interface=(', 'none', ''))
  fc.assert(
    fc.property(key, fc.jsonValue(), key, text, (inFile, value, inEnv, written) => {
      const nested = inFile.path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)
      const file = { path: 'c.json', text: JSON.stringify(nested) }
      try {
        load({ file, env: { [inEnv.env]: written }, hostname: 'h1' })
      } catch (error) {
        assert.instance(error, ConfigError)
      }
    }),
    { numRuns: 300 },
  )
})

test('a file that is no JSON is refused with line and column', () => {
  assert.equal(faultsOf({ file: { path: 'c.json', text: '{\n  "mode" "vxlan"\n}' } })[0], 'c.json:2:10: not JSON: colon expected')
  assert.equal(faultsOf({ file: { path: 'c.json', text: '{"etcd": {' } }), ['c.json:1:11: not JSON: close brace expected'])
  assert.equal(faultsOf({ file: { path: 'c.json', text: '[]' }, env: { MARGAY_ETCD_EMBEDDED: '1' } }), [
    'c.json:1:1: not a JSON object, give { … }',
  ])
})

test.run()
