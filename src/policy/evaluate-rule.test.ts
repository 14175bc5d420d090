import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { anEndpoint } from '../../test/support/planning.ts'
import { aGlobalNetworkSet, aHostEndpoint, aNetworkSet, aPacket, aProfile, byId, nets } from '../../test/support/policies.ts'
import type { Rule } from '../model/rule.ts'
import { parseIp } from '../net/ip.ts'
import { matchesRule } from './evaluate-rule.ts'
import { labelledOf } from './labelled.ts'
import { readRule } from './match-rule.ts'
import { SearchedMembers } from './members.ts'

const test = suite('policy/evaluate-rule')

/*
 * In the namespaces red and blue a web server and a client each; a host; a set of one namespace and one of all.
 */
const profiles = byId([
  aProfile('kns.red', { labelsToApply: { 'pcns.colour': 'red', 'pcns.name': 'red' } }),
  aProfile('kns.blue', { labelsToApply: { 'pcns.colour': 'blue' } }),
  aProfile('ksa.red.robot', { labelsToApply: { 'pcsa.kind': 'robot' } }),
  aProfile('extra', { labelsToApply: { role: 'inherited', tone: 'dark' } }),
])

function workload(namespace: string, name: string, ips: readonly string[], labels: Readonly<Record<string, string>>, more: object = {}) {
  const made = anEndpoint(name, 'h1', ips, { profiles: [`kns.${namespace}`], ...more })
  return { ...made, metadata: { ...made.metadata, namespace, labels } }
}

const ports = [
  { name: 'http', protocol: 'TCP', port: 8080 },
  { name: 'dns', protocol: 'UDP', port: 53 },
]
const resources = [
  workload('red', 'web', ['10.65.0.2', '2001:db8:65::2'], { role: 'web', 'pcns.colour': 'forged' }, { ports }),
  workload(
    'red',
    'bot',
    ['10.65.0.3', '2001:db8:65::3'],
    { role: 'bot' },
    {
      serviceAccountName: 'robot',
      profiles: ['kns.red', 'ksa.red.robot'],
    },
  ),
  workload('blue', 'web', ['10.65.0.4', '2001:db8:65::4'], { role: 'web' }, { ports, profiles: ['extra', 'kns.blue'] }),
  workload('blue', 'plain', ['10.65.0.5', '2001:db8:65::5'], {}, { profiles: ['extra', 'kns.blue'] }),
  aHostEndpoint('h1-eth0', { interfaceName: 'eth0', expectedIPs: ['192.0.2.1', '2001:db8::1'].map(parseIp) }, { role: 'host' }),
  aGlobalNetworkSet('office', { role: 'office' }, '198.51.100.0/24', '2001:db8:51::/48', '203.0.113.7'),
  aNetworkSet('red/partner', { role: 'partner' }, '203.0.113.0/25'),
]
const services = new Map([['red/shop', [{ address: parseIp('10.65.0.2'), protocol: 6, port: 8080 }]]])
const members = new SearchedMembers({ labelled: resources.flatMap((one) => labelledOf(one) ?? []), profiles, services })

interface Case {
  readonly name: string
  readonly rule: Omit<Rule, 'action'> & Partial<Pick<Rule, 'action'>>
  /** The policy's; none where it is global. */
  readonly namespace?: string
  readonly yes: readonly string[]
  readonly no: readonly string[]
}

const to80 = 'tcp 10.65.0.2:40000 > 10.65.0.4:80'
const to80v6 = 'tcp [2001:db8:65::2]:40000 > [2001:db8:65::4]:80'
const ping = 'icmp 10.65.0.2 > 10.65.0.4 8/0'
const ping6 = 'icmpv6 2001:db8:65::2 > 2001:db8:65::4 128/0'

/** A TCP packet to port 80 of a destination that is no endpoint. */
const from = (...sources: readonly string[]) =>
  sources.map((ip) => (ip.includes(':') ? `tcp [${ip}]:40000 > [2001:db8:ff::1]:80` : `tcp ${ip}:40000 > 192.0.2.99:80`))
const [redWeb, redBot, blueWeb, bluePlain] = ['10.65.0.2', '10.65.0.3', '10.65.0.4', '10.65.0.5'] as const

const cases: readonly Case[] = [
  { name: 'nothing given', rule: {}, yes: [to80, to80v6, ping, '47 10.65.0.2 > 10.65.0.4'], no: [] },
  { name: 'ipVersion', rule: { ipVersion: 6 }, yes: [to80v6], no: [to80] },
  { name: 'a protocol by name', rule: { protocol: 'TCP' }, yes: [to80, to80v6], no: [ping, 'udp 10.65.0.2:1 > 10.65.0.4:80'] },
  { name: 'a protocol by number', rule: { protocol: 47 }, yes: ['47 10.65.0.2 > 10.65.0.4'], no: [to80] },
  { name: 'a protocol by number in a string', rule: { protocol: '132' }, yes: ['sctp 10.65.0.2:1 > 10.65.0.4:80'], no: [to80] },
  { name: 'notProtocol', rule: { notProtocol: 'TCP' }, yes: [ping], no: [to80, to80v6] },
  { name: 'an ICMP type', rule: { protocol: 'ICMP', icmp: { type: 8 } }, yes: [ping], no: ['icmp 10.65.0.2 > 10.65.0.4 0/0', ping6, to80] },
  {
    name: 'an ICMP type and code',
    rule: { protocol: 'ICMP', icmp: { type: 3, code: 4 } },
    yes: ['icmp 10.65.0.2 > 10.65.0.4 3/4'],
    no: ['icmp 10.65.0.2 > 10.65.0.4 3/3', 'icmp 10.65.0.2 > 10.65.0.4 4/4'],
  },
  {
    name: 'any ICMP type but one',
    rule: { protocol: 'ICMPv6', notICMP: { type: 128 } },
    yes: ['icmpv6 2001:db8:65::2 > 2001:db8:65::4 129/0'],
    no: [ping6, ping, to80v6],
  },
  {
    name: 'any ICMP but one type with one code: other codes of that type match',
    rule: { protocol: 'ICMP', notICMP: { type: 3, code: 4 } },
    yes: ['icmp 10.65.0.2 > 10.65.0.4 3/3', 'icmp 10.65.0.2 > 10.65.0.4 8/4', ping],
    no: ['icmp 10.65.0.2 > 10.65.0.4 3/4', to80],
  },
  { name: 'an ICMP type without a protocol', rule: { icmp: { type: 8 } }, yes: [ping], no: [to80, '47 10.65.0.2 > 10.65.0.4'] },
  {
    name: 'a source net',
    rule: { source: { nets: nets('10.65.0.0/30') } },
    yes: from(redWeb, redBot),
    no: from(blueWeb, '2001:db8:65::2'),
  },
  {
    name: 'nets of both families, of which each holds for its own',
    rule: { source: { nets: nets('10.65.0.0/30', '2001:db8:65::/126') } },
    yes: from(redWeb, '2001:db8:65::2'),
    no: from(blueWeb, '2001:db8:65::4'),
  },
  {
    name: 'notNets: of the other family nothing matches, as in Calico',
    rule: { source: { notNets: nets('10.65.0.0/30') } },
    yes: from(blueWeb),
    no: from(redWeb, '2001:db8:65::2'),
  },
  {
    name: 'nets without notNets',
    rule: { destination: { nets: nets('10.65.0.0/16'), notNets: nets('10.65.0.4/32', '10.65.0.5/32') } },
    yes: ['udp 192.0.2.9:1 > 10.65.0.2:2'],
    no: ['udp 192.0.2.9:1 > 10.65.0.4:2', 'udp 192.0.2.9:1 > 10.65.0.5:2', 'udp 192.0.2.9:1 > 10.66.0.1:2'],
  },
  { name: 'everything excluded', rule: { source: { notNets: nets('0.0.0.0/0') } }, yes: [], no: from(redWeb, '2001:db8:65::2') },
  { name: 'a port', rule: { protocol: 'TCP', destination: { ports: [80] } }, yes: [to80, to80v6], no: ['tcp 10.65.0.2:80 > 10.65.0.4:81'] },
  {
    name: 'ports and ranges, with their ends',
    rule: { protocol: 'UDP', source: { ports: [53, '1000:1002'] } },
    yes: ['udp 10.65.0.2:53 > 10.65.0.4:1', 'udp 10.65.0.2:1000 > 10.65.0.4:1', 'udp 10.65.0.2:1002 > 10.65.0.4:1'],
    no: ['udp 10.65.0.2:999 > 10.65.0.4:1', 'udp 10.65.0.2:1003 > 10.65.0.4:53', 'tcp 10.65.0.2:53 > 10.65.0.4:1'],
  },
  {
    name: 'notPorts',
    rule: { protocol: 'TCP', destination: { notPorts: [22, '80:81'] } },
    yes: ['tcp 10.65.0.2:22 > 10.65.0.4:82'],
    no: [to80, 'tcp 10.65.0.2:40000 > 10.65.0.4:22'],
  },
  {
    name: 'ports without a protocol: of all protocols that have ports',
    rule: { destination: { ports: [80] } },
    yes: [to80, 'udplite 10.65.0.2:1 > 10.65.0.4:80', 'sctp 10.65.0.2:1 > 10.65.0.4:80'],
    no: [ping, '47 10.65.0.2 > 10.65.0.4'],
  },
  { name: 'ports with a protocol that has none', rule: { protocol: 'ICMP', destination: { ports: [80] } }, yes: [], no: [ping, to80] },
  { name: 'a selector', rule: { source: { selector: 'role == "web"' } }, yes: from(redWeb, blueWeb, '2001:db8:65::4'), no: from(redBot) },
  {
    name: 'a selector of hosts and sets',
    rule: { source: { selector: 'role in {"host", "office"}' } },
    yes: from('192.0.2.1', '198.51.100.77', '203.0.113.7', '2001:db8:51:7::1', '2001:db8::1'),
    no: from('192.0.2.2', '203.0.113.8', redWeb),
  },
  {
    name: 'notSelector: also what is no endpoint',
    rule: { source: { notSelector: 'has(role)' } },
    yes: from('192.0.2.99'),
    no: from(redWeb),
  },
  {
    name: 'selector and notSelector',
    rule: { source: { selector: 'has(role)', notSelector: 'role == "bot"' } },
    yes: from(redWeb, '198.51.100.1'),
    no: from(redBot, '192.0.2.99'),
  },
  { name: 'a label that is inherited', rule: { source: { selector: 'role == "inherited"' } }, yes: from(bluePlain), no: from(redWeb) },
  {
    name: 'an own label goes before',
    rule: { source: { selector: 'role == "web" && tone == "dark"' } },
    yes: from(blueWeb),
    no: from(redWeb),
  },
  {
    name: 'a namespace by its labels, which a workload cannot forge',
    rule: { source: { namespaceSelector: 'colour == "red"' } },
    yes: from(redWeb, redBot),
    no: from(blueWeb, '192.0.2.1'),
  },
  {
    name: 'every namespace',
    rule: { source: { namespaceSelector: 'all()' } },
    yes: from(redWeb, blueWeb, '203.0.113.9'),
    no: from('192.0.2.1', '198.51.100.1'),
  },
  { name: 'no namespace', rule: { source: { namespaceSelector: 'global()' } }, yes: from('192.0.2.1', '198.51.100.1'), no: from(redWeb) },
  {
    name: 'a selector in a policy of a namespace means that namespace',
    rule: { source: { selector: 'role == "web"' } },
    namespace: 'red',
    yes: from(redWeb),
    no: from(blueWeb),
  },
  {
    name: 'a set of the namespace, not one of all',
    rule: { source: { selector: 'role in {"office", "partner"}' } },
    namespace: 'red',
    yes: from('203.0.113.9'),
    no: from('198.51.100.1'),
  },
  {
    name: 'of another namespace with a selector of namespaces',
    rule: { source: { selector: 'role == "web"', namespaceSelector: 'colour == "blue"' } },
    namespace: 'red',
    yes: from(blueWeb),
    no: from(redWeb),
  },
  {
    name: 'notSelector in a policy of a namespace: others of the namespace only',
    rule: { source: { notSelector: 'role == "bot"' } },
    namespace: 'red',
    yes: from(redWeb),
    no: from(redBot, blueWeb, '192.0.2.99'),
  },
  {
    name: 'nothing to select by in a policy of a namespace: everybody',
    rule: { source: { nets: nets('0.0.0.0/1') } },
    namespace: 'red',
    yes: from(blueWeb),
    no: from('192.0.2.1'),
  },
  {
    name: 'a service account by name',
    rule: { source: { serviceAccounts: { names: ['robot', 'x'] } } },
    yes: from(redBot),
    no: from(redWeb),
  },
  {
    name: 'a service account by its labels, and by both',
    rule: { source: { serviceAccounts: { names: ['robot'], selector: 'kind == "robot"' } } },
    yes: from(redBot),
    no: from(redWeb, '192.0.2.1'),
  },
  {
    name: 'a port by its name, as each endpoint has it',
    rule: { protocol: 'TCP', destination: { ports: ['http'] } },
    yes: ['tcp 192.0.2.9:1 > 10.65.0.2:8080', 'tcp [2001:db8::9]:1 > [2001:db8:65::4]:8080'],
    no: ['tcp 192.0.2.9:1 > 10.65.0.2:80', 'tcp 192.0.2.9:1 > 10.65.0.3:8080', 'udp 192.0.2.9:1 > 10.65.0.2:8080'],
  },
  {
    name: 'a port by its name without a protocol is one of TCP',
    rule: { destination: { ports: ['http', 'dns'] } },
    yes: ['tcp 192.0.2.9:1 > 10.65.0.2:8080'],
    no: ['udp 192.0.2.9:1 > 10.65.0.2:53', 'udp 192.0.2.9:1 > 10.65.0.2:8080'],
  },
  {
    name: 'a port by its name of UDP, or by number',
    rule: { protocol: 'UDP', destination: { ports: ['dns', 5353] } },
    yes: ['udp 192.0.2.9:1 > 10.65.0.2:53', 'udp 192.0.2.9:1 > 192.0.2.9:5353'],
    no: ['udp 192.0.2.9:1 > 192.0.2.9:53'],
  },
  {
    name: 'a named port of those that the selector matches',
    rule: { protocol: 'TCP', destination: { selector: 'tone == "dark"', ports: ['http'] } },
    yes: ['tcp 192.0.2.9:1 > 10.65.0.4:8080'],
    no: ['tcp 192.0.2.9:1 > 10.65.0.2:8080'],
  },
  {
    name: 'any but a named port',
    rule: { protocol: 'TCP', destination: { notPorts: ['http'] } },
    yes: ['tcp 192.0.2.9:1 > 10.65.0.2:80', 'tcp 192.0.2.9:1 > 10.65.0.3:8080'],
    no: ['tcp 192.0.2.9:1 > 10.65.0.2:8080'],
  },
  {
    name: 'a Service as destination: its addresses and ports',
    rule: { destination: { services: { name: 'shop', namespace: 'red' } } },
    yes: ['tcp 192.0.2.9:1 > 10.65.0.2:8080'],
    no: ['tcp 192.0.2.9:1 > 10.65.0.2:80', 'udp 192.0.2.9:1 > 10.65.0.2:8080', 'tcp 192.0.2.9:1 > 10.65.0.3:8080'],
  },
  {
    name: 'a Service as source: its addresses, whatever the port; in a policy of its namespace without it',
    rule: { source: { services: { name: 'shop' } } },
    namespace: 'red',
    yes: from(redWeb),
    no: from(redBot),
  },
  { name: 'a Service that is not there', rule: { destination: { services: { name: 'x', namespace: 'red' } } }, yes: [], no: [to80] },
  { name: 'an Allow that nobody can enforce', rule: { http: { methods: ['GET'] } }, yes: [], no: [to80] },
  { name: 'a Pass that nobody can enforce', rule: { action: 'Pass', ...unknown('asNumbers') }, yes: [], no: [to80] },
  {
    name: 'a Deny with a member that nobody knows, without it',
    rule: { action: 'Deny', protocol: 'TCP', ...unknown('x') },
    yes: [to80],
    no: [ping],
  },
  {
    name: 'both sides',
    rule: { source: { selector: 'role == "bot"' }, destination: { nets: nets('192.0.2.0/24') } },
    yes: from(redBot),
    no: from(redWeb),
  },
]

for (const { name, rule, namespace, yes, no } of cases) {
  test(name, () => {
    const read = readRule({ action: 'Allow', ...rule }, namespace)
    const matching = [...yes, ...no].filter((packet) => matchesRule(read, aPacket(packet), members))
    assert.equal(matching, yes)
  })
}

test.run()

/** A member of a newer version, as it is read from the store. */
function unknown(name: string): object {
  return { source: { [name]: [1] } }
}
