import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nets } from '../../test/support/policies.ts'
import { showNft } from '../../test/support/show-nft.ts'
import type { Rule } from '../model/rule.ts'
import { type BlockRule, compileBlock, type Form } from './block.ts'
import { PieceCollector } from './chains.ts'
import { counterOf } from './counted-rule.ts'
import { readRule } from './match-rule.ts'
import type { Shape } from './set-names.ts'

const test = suite('policy/rules')

function blockRule(rule: Rule): BlockRule {
  return {
    match: readRule(rule, undefined),
    isFinal: rule.action !== 'Log',
    counter: counterOf({ by: 'end', direction: 'ingress' }),
    effectIn: () => ({ verdict: { do: VERDICTS[rule.action] } }),
  }
}

const VERDICTS = { Allow: 'accept', Deny: 'drop', Pass: 'return', Log: 'continue' } as const

/** The chain of a list and what it leads to; names of sets and chains by the order in which they come up. */
function compiled(rules: readonly Rule[], form: Form = 'any', shape: Shape = 'hash'): readonly string[] {
  const pieces = new PieceCollector(() => shape)
  const chain = { kind: 'chain', name: 'list', rules: compileBlock(rules.map(blockRule), pieces, form) } as const
  const text = showNft([chain, ...pieces.chains.values(), ...pieces.fixed.values()]).join('\n')
  const names = new Map<string, string>()
  return text
    .replaceAll(/\b([a-z]\d?_)(?:[0-9a-f]{20}\b|[\w-]{24})/g, (name, prefix) => {
      const short = names.get(name) ?? `${prefix}${names.size + 1}`
      names.set(name, short)
      return short
    })
    .split('\n')
}

const cases: readonly { name: string; rule: Omit<Rule, 'action'>; want: readonly string[]; shape?: Shape }[] = [
  { name: 'everything, once for both families', rule: {}, want: ['accept'] },
  { name: 'one family', rule: { ipVersion: 6 }, want: ['family 6 accept'] },
  { name: 'a protocol', rule: { protocol: 'TCP', notProtocol: 'UDP' }, want: ['protocol 6 protocol != 17 accept'] },
  { name: 'a port', rule: { protocol: 'TCP', destination: { ports: [80] } }, want: ['protocol 6 dport 80 accept'] },
  {
    name: 'ports and ranges are one set, joined where they touch',
    rule: { protocol: 'TCP', destination: { ports: [81, '82:90', 80, 443] } },
    want: ['protocol 6 dport @d_1 accept', 'set d_1 interval: 80-90 443'],
  },
  {
    name: 'excluded ports',
    rule: { protocol: 'UDP', source: { notPorts: [53, 54, '60:70'] }, destination: { notPorts: [1] } },
    want: ['protocol 17 sport != @d_1 dport != 1 accept', 'set d_1 interval: 53-54 60-70'],
  },
  {
    name: 'a selector has a set in each family',
    rule: { source: { selector: 'role == "web"' } },
    want: ['family 4 saddr @s4_1 accept', 'family 6 saddr @s6_2 accept'],
  },
  {
    name: 'a selector of prefixes has sets of intervals',
    shape: 'intervals',
    rule: { ipVersion: 4, source: { selector: 'role == "web"' }, destination: { notSelector: 'role == "web"' } },
    want: ['family 4 saddr @n4_1 daddr != @n4_1 accept'],
  },
  {
    name: 'one net stands by itself, several are a set without those that others cover',
    rule: { source: { nets: nets('10.0.0.0/8') }, destination: { nets: nets('10.0.0.0/8', '10.65.0.0/16', '192.0.2.0/24') } },
    want: ['family 4 saddr 10.0.0.0/8 daddr @c4_1 accept', 'set c4_1 interval: 10.0.0.0/8 192.0.2.0/24'],
  },
  {
    name: 'nets of both families',
    rule: { source: { nets: nets('10.0.0.0/8', '2001:db8::/32') } },
    want: ['family 4 saddr 10.0.0.0/8 accept', 'family 6 saddr 2001:db8::/32 accept'],
  },
  {
    name: 'nets and excluded nets',
    rule: { destination: { nets: nets('10.0.0.0/8'), notNets: nets('10.65.0.0/16') } },
    want: ['family 4 daddr 10.0.0.0/8 daddr != 10.65.0.0/16 accept'],
  },
  {
    name: 'a port by number or by name, of one family: both look at the family',
    rule: { ipVersion: 4, protocol: 'TCP', destination: { ports: [80, 'http'] } },
    want: ['family 4 protocol 6 dport 80 accept', 'family 4 protocol 6 destination @p4_1 accept'],
  },
  {
    name: 'neither of two ports by name',
    rule: { ipVersion: 6, destination: { notPorts: ['http', 'dns'] } },
    want: ['family 6 destination != @p6_1 destination != @p6_2 accept'],
  },
  {
    name: 'ports of both sides are asked together',
    rule: { ipVersion: 4, protocol: 'UDP', source: { ports: [1, 'a'] }, destination: { ports: [2, 'b'] } },
    want: [
      'family 4 protocol 17 sport 1 dport 2 accept',
      'family 4 protocol 17 sport 1 destination @p4_1 accept',
      'family 4 protocol 17 source @p4_2 dport 2 accept',
      'family 4 protocol 17 source @p4_2 destination @p4_1 accept',
    ],
  },
  {
    name: 'an ICMP type and code',
    rule: { protocol: 'ICMP', icmp: { type: 3, code: 4 } },
    want: ['family 4 protocol 1 icmp-type 3 icmp-code 4 accept'],
  },
  {
    name: 'all but an ICMP type with a code: other types, and that type with other codes',
    rule: { protocol: 'ICMPv6', notICMP: { type: 1, code: 4 } },
    want: ['family 6 protocol 58 icmp-type != 1 accept', 'family 6 protocol 58 icmp-type 1 icmp-code != 4 accept'],
  },
  { name: 'ICMP of a protocol that is none', rule: { protocol: 'TCP', icmp: { type: 8 } }, want: [] },
  {
    name: 'a Service as destination with its ports, as source without',
    rule: {
      ipVersion: 4,
      source: { services: { name: 'a', namespace: 'red' } },
      destination: { services: { name: 'a', namespace: 'red' } },
    },
    want: ['family 4 saddr @s4_1 destination @p4_2 accept'],
  },
  {
    name: 'from a set in which nobody is, or a named port that nobody has, nothing comes',
    shape: 'empty',
    rule: { ipVersion: 4, protocol: 'TCP', source: { selector: 'role == "web"' }, destination: { ports: [80, 'http'] } },
    want: [],
  },
  {
    name: 'a port by number stays where nobody has the one by name, and nobody is excluded by an empty set',
    shape: 'empty',
    rule: {
      ipVersion: 4,
      protocol: 'TCP',
      source: { notSelector: 'role == "web"' },
      destination: { ports: [80, 'http'], notPorts: ['dns'] },
    },
    want: ['family 4 protocol 6 dport 80 accept'],
  },
  { name: 'what nobody can enforce', rule: { http: { methods: ['GET'] } }, want: [] },
]

for (const { name, rule, want, shape } of cases) {
  test(name, () => {
    const [, ...lines] = compiled([{ action: 'Allow', ...rule }], 'any', shape)
    assert.equal(
      lines.map((line) => line.trim()),
      want,
    )
  })
}

const onPort = (port: number | string, more: Partial<Rule> = {}): Rule => ({
  action: 'Allow',
  protocol: 'TCP',
  destination: { ports: [port] },
  ...more,
})
const long: readonly Rule[] = [
  onPort(80, { source: { nets: nets('10.0.0.0/8') } }),
  onPort(443),
  { action: 'Deny', protocol: 'TCP', destination: { ports: ['80:90'] } },
  { action: 'Allow', protocol: 'ICMP' },
  { action: 'Allow', protocol: 'UDP', destination: { ports: [53, 'dns'] }, ipVersion: 4 },
  onPort(81),
  { action: 'Pass', source: { nets: nets('192.0.2.0/24') } },
  { action: 'Deny' },
]

test('a long list is taken apart by protocol and port; each port has the rules that can match it, up to the first that ends all', () => {
  assert.equal(compiled(long, 'by-port'), [
    'chain list',
    '  protocol 6 goto q_1',
    '  protocol 17 goto q_2',
    '  protocol 1 accept',
    '  family 4 saddr 192.0.2.0/24 return',
    '  drop',
    'chain r_3',
    '  family 4 saddr 192.0.2.0/24 return',
    '  drop',
    'chain r_4',
    '  family 4 saddr 10.0.0.0/8 accept',
    '  drop',
    'chain r_5',
    '  drop',
    'chain r_6',
    '  accept',
    'chain q_1',
    '  dport map @m_7',
    '  counter drop',
    'chain r_8',
    '  family 4 destination @p4_9 accept',
    '  family 4 saddr 192.0.2.0/24 return',
    '  drop',
    'chain r_10',
    '  family 4 accept',
    '  family 4 saddr 192.0.2.0/24 return',
    '  drop',
    'chain q_2',
    '  dport map @m_11',
    '  counter drop',
    'map m_7 interval: 0-79 goto r_3, 80 goto r_4, 81-90 goto r_5, 91-442 goto r_3, 443 goto r_6, 444-65535 goto r_3',
    'map m_11 interval: 0-52 goto r_8, 53 goto r_10, 54-65535 goto r_8',
  ])
})

test('the same list one after the other', () => {
  assert.equal(
    compiled(long, 'linear').filter((line) => line.startsWith('  ')),
    [
      '  family 4 protocol 6 dport 80 saddr 10.0.0.0/8 accept',
      '  protocol 6 dport 443 accept',
      '  protocol 6 dport @d_1 drop',
      '  protocol 1 accept',
      '  family 4 protocol 17 dport 53 accept',
      '  family 4 protocol 17 destination @p4_2 accept',
      '  protocol 6 dport 81 accept',
      '  family 4 saddr 192.0.2.0/24 return',
      '  drop',
    ],
  )
})

test('what goes on behind a rule is done once, however many ways there are to match', () => {
  const rule: Rule = { action: 'Log', protocol: 'TCP', destination: { ports: [80, 'http'] }, ipVersion: 4 }
  assert.equal(compiled([rule, { action: 'Allow' }]), [
    'chain list',
    '  jump a_1',
    '  accept',
    'chain a_1',
    '  family 4 protocol 6 dport 80 return',
    '  family 4 protocol 6 destination @p4_2 return',
  ])
})

test('a list is not taken apart where that would take too many rules, or where it is short', () => {
  const portless = Array.from(
    { length: 40 },
    (_, i): Rule => ({ action: 'Allow', protocol: 'TCP', source: { nets: nets(`10.${i}.0.0/16`) } }),
  )
  const ports = Array.from({ length: 47 }, (_, i) => onPort(1000 + 2 * i, { source: { nets: nets('192.0.2.0/24') } }))
  const hasMap = (rules: readonly Rule[]) => compiled(rules).some((line) => line.startsWith('map '))
  assert.equal([hasMap([...portless, ...ports]), hasMap(ports), hasMap([...portless.slice(0, 1), ...ports])], [false, false, true])
})

test.run()
