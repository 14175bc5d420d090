import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readResource } from './codec.ts'
import { parseRulePort, type Rule, unenforcedMembers } from './rule.ts'
import { checkRules, type RuleOwner } from './rule-check.ts'

const test = suite('model/rule-check')

type Given = Readonly<Record<string, unknown>>

/** A rule as it stands in a policy that was read; fails where a field has not its shape. */
function aRule(members: Given): Rule {
  const raw = { metadata: { name: 'p' }, spec: { ingress: [{ action: 'Allow', ...members }] } }
  const { resource, issues } = readResource('GlobalNetworkPolicy', raw)
  assert.equal(issues, [])
  const rule = resource?.spec.ingress?.[0]
  if (rule === undefined) throw new Error('no rule was read')
  return rule
}

function faultsOf(members: Given, owner: RuleOwner = { direction: 'ingress', kind: 'policy' }): string[] {
  return checkRules([aRule(members)], 'r', owner).map(({ path, message }) => `${path}: ${message}`)
}

const TCP = { protocol: 'TCP' }

const permitted: readonly (readonly [string, Given])[] = [
  ['everything', {}],
  ['ports with TCP', { ...TCP, destination: { ports: [80, '8000:8100', 'http'] } }],
  ['ports with SCTP by its number', { protocol: 132, source: { notPorts: [1] } }],
  ['ports with a number in a text', { protocol: '17', source: { ports: ['53'] } }],
  ['names of ports without a protocol', { destination: { ports: ['http', 'https'] } }],
  ['an ICMP type and code', { protocol: 'ICMP', icmp: { type: 3, code: 0 }, ipVersion: 4 }],
  ['an ICMPv6 type by number', { protocol: 58, icmp: { type: 128 }, ipVersion: 6 }],
  ['no ICMP type without a protocol', { notICMP: { type: 8 } }],
  [
    'prefixes of one version',
    { ipVersion: 6, source: { nets: ['2001:db8::/32'], notNets: ['2001:db8:1::/48'] }, destination: { nets: ['::/0'] } },
  ],
  ['a service as the source of an ingress rule, with ports', { ...TCP, source: { services: { name: 's', namespace: 'n' }, ports: [80] } }],
  ['HTTP in an ingress rule', { http: { methods: ['GET'], paths: [{ exact: '/a' }, { prefix: '/b' }] } }],
  ['global() for namespaces', { source: { namespaceSelector: ' global( ) ' } }],
  ['notes', { metadata: { annotations: { 'example.com/why': 'any text' } } }],
]
for (const [title, members] of permitted) {
  test(`permitted: ${title}`, () => assert.equal(faultsOf(members), []))
}

const PORTS = 'need protocol TCP, UDP or SCTP'
const refused: readonly (readonly [string, Given, readonly string[], RuleOwner?])[] = [
  ['ports with ICMP', { protocol: 'ICMP', source: { ports: [1] } }, [`r[0].source.ports: ${PORTS}, not ICMP`]],
  ['ports with UDPLite', { protocol: 'UDPLite', source: { notPorts: ['a'] } }, [`r[0].source.notPorts: ${PORTS}, not UDPLite`]],
  ['ports with protocol 47', { protocol: 47, destination: { notPorts: [1] } }, [`r[0].destination.notPorts: ${PORTS}, not 47`]],
  [
    'a number among names without a protocol',
    { destination: { ports: ['http', '80:81'] } },
    [`r[0].destination.ports: ${PORTS}; only names of ports can go without`],
  ],
  [
    'a range from 0',
    { ...TCP, destination: { notPorts: ['0:1023'] } },
    ['r[0].destination.notPorts[0]: the range begins with 0, which is not a port: write "1:1023"'],
  ],
  ['port 0', { ...TCP, destination: { ports: [22, 0] } }, ['r[0].destination.ports[1]: 0 is not a port (1 to 65535)']],
  [
    'a range with a hyphen',
    { ...TCP, destination: { ports: ['8000-8100'] } },
    ['r[0].destination.ports[0]: "8000-8100" would be the name of a port: write the range as "8000:8100"'],
  ],
  ['too many ports', { ...TCP, source: { ports: Array(51).fill(1) } }, ['r[0].source.ports: has 51 ports, 50 are allowed']],
  ['ICMP members without a protocol', { icmp: { type: 8 } }, ['r[0].icmp: needs protocol ICMP or ICMPv6']],
  ['ICMP members with TCP', { ...TCP, icmp: { type: 8 } }, ['r[0].icmp: needs protocol ICMP or ICMPv6, not TCP']],
  ['an ICMP code without a type', { protocol: 'ICMP', icmp: { code: 1 } }, ['r[0].icmp.code: the code 1 needs a type']],
  ['a negated ICMP code without a type', { notICMP: { code: 1 } }, ['r[0].notICMP.code: the code 1 needs a type']],
  ['ICMP and IPv6', { protocol: 'ICMP', ipVersion: 6 }, ['r[0].ipVersion: must be 4 with protocol ICMP, not 6']],
  ['anything but ICMP, and IPv6', { notProtocol: 1, ipVersion: 6 }, ['r[0].ipVersion: must be 4 with protocol ICMP, not 6']],
  ['ICMPv6 and IPv4', { protocol: 'ICMPv6', ipVersion: 4 }, ['r[0].ipVersion: must be 6 with protocol ICMPv6, not 4']],
  [
    'prefixes of both versions in one list',
    { source: { nets: ['192.0.2.0/24', '2001:db8::/32'] } },
    ['r[0].source.nets: 2001:db8::/32 is of another IP version than 192.0.2.0/24: make a rule for each IP version'],
  ],
  [
    'prefixes of both versions on the two sides',
    { source: { notNets: ['2001:db8::/32'] }, destination: { nets: ['192.0.2.0/24'] } },
    ['r[0].destination.nets: 192.0.2.0/24 is of another IP version than 2001:db8::/32 in source.notNets: make a rule for each IP version'],
  ],
  [
    'prefixes of the other version than the rule',
    { ipVersion: 4, source: { nets: ['2001:db8::/32'] } },
    ["r[0].source.nets: 2001:db8::/32 is of IPv6, but the rule's ipVersion is 4"],
  ],
  [
    'all addresses excluded',
    { source: { notNets: ['0.0.0.0/0'] } },
    ['r[0].source.notNets[0]: 0.0.0.0/0 leaves no address that could match'],
  ],
  [
    'all IPv6 addresses excluded',
    { destination: { notNets: ['::/0'] } },
    ['r[0].destination.notNets[0]: ::/0 leaves no address that could match'],
  ],
  [
    'too many prefixes',
    { source: { nets: Array.from({ length: 257 }, (_, index) => `10.0.${index % 256}.0/24`) } },
    ['r[0].source.nets: has 257 prefixes, 256 are allowed'],
  ],
  [
    'a long selector',
    { source: { selector: `a == '${'x'.repeat(1020)}'` } },
    ['r[0].source.selector: the selector has 1027 characters, 1024 are allowed'],
  ],
  [
    'a service without a name',
    { source: { services: { namespace: 'n' } } },
    ['r[0].source.services.name: is required (the name of a Service)'],
  ],
  [
    'a service without a namespace in a global policy',
    { source: { services: { name: 's' } } },
    ['r[0].source.services.namespace: is required in a global policy, which has no namespace of its own'],
    { direction: 'ingress', kind: 'global policy' },
  ],
  [
    'a service as the destination of an ingress rule',
    { destination: { services: { name: 's' } } },
    ["r[0].destination.services: can't be the destination of an ingress rule, only its source"],
  ],
  [
    'a service as the source of an egress rule',
    { source: { services: { name: 's' } } },
    ["r[0].source.services: can't be the source of an egress rule, only its destination"],
    { direction: 'egress', kind: 'policy' },
  ],
  [
    'a service beside what else says who',
    { source: { services: { name: 's' }, nets: ['192.0.2.0/24'], notSelector: 'has(a)', serviceAccounts: { names: ['x'] } } },
    ["r[0].source.services: can't stand beside nets, notSelector, serviceAccounts"],
  ],
  [
    'a service with ports as the destination',
    { ...TCP, destination: { services: { name: 's' }, ports: [80] } },
    ["r[0].destination.services: can't stand beside ports"],
    { direction: 'egress', kind: 'policy' },
  ],
  ['HTTP in a Deny rule', { action: 'Deny', http: { methods: ['GET'] } }, ['r[0].http: can only stand in an Allow rule, not in Deny']],
  ['HTTP with UDP', { protocol: 'UDP', http: {} }, ['r[0].http: needs protocol TCP or none, not UDP']],
  ['HTTP in an egress rule', { http: {} }, ['r[0].http: can only stand in an ingress rule'], { direction: 'egress', kind: 'policy' }],
  ['an HTTP method twice', { http: { methods: ['GET', 'PUT', 'GET'] } }, ['r[0].http.methods: "GET" stands there more than once']],
  ['an HTTP path of no kind', { http: { paths: [{}] } }, ['r[0].http.paths[0]: needs one of exact and prefix']],
  [
    'an HTTP path of both kinds',
    { http: { paths: [{ exact: '/a', prefix: '/b' }] } },
    ['r[0].http.paths[0]: needs one of exact and prefix'],
  ],
  [
    'an HTTP path with a query',
    { http: { paths: [{ exact: '/a?b' }] } },
    ['r[0].http.paths[0]: "/a?b" is not a path (begins with "/", has no "?", "#" or blank)'],
  ],
  [
    'a note whose name is none',
    { metadata: { annotations: { 'a b': '' } } },
    [
      'r[0].metadata.annotations.a b: "a b" is not a label name (up to 63 letters, digits, "-", "_" and ".", beginning and ending with a letter or digit, after an optional DNS name and "/")',
    ],
  ],
]
for (const [title, members, want, owner] of refused) {
  test(`refused: ${title}`, () => assert.equal(faultsOf(members, owner), want))
}

test('more rules than a policy may have are one fault', () => {
  const issues = checkRules(Array(1025).fill(aRule({})), 'spec.egress', { direction: 'egress', kind: 'profile' })
  assert.equal(issues, [{ path: 'spec.egress', message: 'has 1025 rules, 1024 are allowed' }])
})

const misshapen: readonly (readonly [string, Given, string])[] = [
  ['action', { action: 'allow' }, '"allow" is not one of Allow, Deny, Log, Pass: did you mean "Allow"?'],
  ['ipVersion', { ipVersion: 5 }, '5 is not one of 4, 6'],
  ['protocol', { protocol: 'tcp' }, '"tcp" is not a protocol (TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or 1 to 255): did you mean "TCP"?'],
  ['notProtocol', { notProtocol: 0 }, '"0" is not a protocol (TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or 1 to 255)'],
  ['icmp.type', { icmp: { type: 255 } }, 'must be an integer from 0 to 254, not 255'],
  ['notICMP.code', { notICMP: { type: 1, code: -1 } }, 'must be an integer from 0 to 255, not -1'],
  ['source.nets[0]', { source: { nets: ['192.0.2.1'] } }, '"192.0.2.1" has no prefix length: write 192.0.2.1/32'],
  ['source.nets[1]', { source: { nets: ['::/0', '2001:db8::1/64'] } }, '"2001:db8::1/64" has host bits set, the prefix is 2001:db8::/64'],
  ['destination.notNets[0]', { destination: { notNets: ['x'] } }, 'not an IP address: "x"'],
  ['source.ports[0]', { source: { ports: [70_000] } }, 'not a port (0 to 65535) or a range such as 8000:8100: "70000"'],
  ['source.ports[0]', { source: { ports: ['90:80'] } }, 'the range "90:80" is the wrong way round: write 80:90'],
  [
    'source.notPorts[0]',
    { source: { notPorts: ['a b'] } },
    '"a b" is not a port (0 to 65535, a range such as "8000:8100", or a name of letters, digits, "_", "." and "-")',
  ],
  [
    'source.selector',
    { source: { selector: 'global()' } },
    '"global()": global() can only be the namespaceSelector of a rule\'s source or destination',
  ],
  [
    'source.namespaceSelector',
    { source: { namespaceSelector: 'global() && has(a)' } },
    '"global() && has(a)": global() can\'t be combined with other selectors',
  ],
  ['metadata.annotations.a', { metadata: { annotations: { a: 1 } } }, 'must be a string, not 1: put it in quotes'],
]
for (const [path, members, message] of misshapen) {
  test(`refused where it is read: ${path} ${JSON.stringify(members)}`, () => {
    const { issues } = readResource('NetworkPolicy', { metadata: { name: 'p' }, spec: { egress: [{ action: 'Allow', ...members }] } })
    assert.equal(issues, [{ path: `spec.egress[0].${path}`, message }])
  })
}

const unenforced: readonly (readonly [Given, readonly string[]])[] = [
  [{ ...TCP, source: { nets: ['192.0.2.0/24'], services: { name: 's' } }, metadata: { annotations: {} } }, []],
  [{ http: { methods: ['GET'] } }, ['http']],
  [{ http: null, quic: null }, []],
  [{ quic: true, source: { asNumbers: [1] } }, ['quic', 'source.asNumbers']],
  [{ destination: { domains: ['a.example'], services: { name: 's', port: 1 } } }, ['destination.domains', 'destination.services.port']],
  [
    { icmp: { name: 'echo' }, notICMP: { x: 1 }, source: { serviceAccounts: { y: 1 } }, metadata: { z: 1 } },
    ['icmp.name', 'notICMP.x', 'source.serviceAccounts.y', 'metadata.z'],
  ],
]
for (const [members, want] of unenforced) {
  test(`nobody enforces [${want}] of ${JSON.stringify(members)}`, () => assert.equal(unenforcedMembers(aRule(members)), want))
}

test('ports of rules are numbers, ranges and names', () => {
  assert.equal([80, '80', '80:81', 'http', '8a'].map(parseRulePort), [
    { low: 80, high: 80 },
    { low: 80, high: 80 },
    { low: 80, high: 81 },
    { name: 'http' },
    { name: '8a' },
  ])
})

test.run()
