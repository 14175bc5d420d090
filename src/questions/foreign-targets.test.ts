import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findForeignDrops, neededPackets } from './foreign-drops.ts'
import { type ForeignRule, findPublished, matchesOf, readForeignRules } from './foreign-ruleset.ts'
import { fillFromText, needsText } from './foreign-targets.ts'

const test = suite('questions/foreign-targets')

const place = { family: 'ip', table: 'nat' }
const xt = (type: string, name: string) => ({ xt: { type, name } })
const dport = { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 8080 } }
const rule = (handle: number, ...expr: ForeignRule['expr'][number][]): ForeignRule => ({ ...place, chain: 'c', handle, expr })
const filled = (line: string, ...expr: ForeignRule['expr'][number][]) =>
  fillFromText({ chains: [], rules: [rule(7, ...expr)] }, `table ip nat {\n\tchain c { # handle 1\n\t\t${line} # handle 7\n\t}\n}\n`, place)
    .rules

const cases = [
  { line: 'tcp dport 8080 counter packets 1 bytes 60 dnat to 172.17.0.2:80', to: { address: '172.17.0.2', port: 80 } },
  { line: 'tcp dport 8080 dnat to 172.17.0.2', to: { address: '172.17.0.2' } },
  { line: 'tcp dport 8080 dnat to [fd00:dead::2]:80', to: { address: 'fd00:dead::2', port: 80 } },
  { line: 'tcp dport 8080 dnat to 172.17.0.2-172.17.0.9', to: undefined },
] as const
for (const { line, to } of cases) {
  test(`where destination NAT leads: ${line}`, () => {
    const found = findPublished({ chains: [], rules: filled(line, dport, xt('target', 'DNAT')) })
    assert.equal(
      found.map(({ low, to }) => ({ low, to })),
      [{ low: 8080, to }],
    )
  })
}

test('kinds of addresses are those of the text, and other matches stay unknown', () => {
  const matches = filled('fib daddr type local counter packets 0 bytes 0 return', xt('match', 'addrtype'), { return: null }).map(matchesOf)
  assert.equal(matches, [[{ on: 'fib daddr type', isNegated: false, values: ['local'] }]])
  const [unknown] = filled('# xt_recent counter drop', xt('match', 'recent'), { drop: null })
  assert.equal(unknown?.expr[0], xt('match', 'recent'))
  assert.is(needsText({ chains: [], rules: [rule(1, dport)] }), false)
  assert.is(needsText({ chains: [], rules: [rule(1, xt('match', 'addrtype'))] }), true)
})

test('rules of other tables keep what they are', () => {
  const rules = [rule(7, dport, xt('target', 'DNAT'))]
  assert.equal(fillFromText({ chains: [], rules }, 'x dnat to 192.0.2.1 # handle 7', { family: 'ip6', table: 'nat' }).rules, rules)
})

test("ufw's chain for what is not local does not drop what is", () => {
  const common = { family: 'ip', table: 'filter' }
  const base = { ...common, name: 'INPUT', type: 'filter', hook: 'input', prio: 0, policy: 'accept' }
  const chain = { ...common, name: 'ufw-not-local' }
  const json = [
    { chain: base },
    { chain },
    { rule: { ...common, chain: 'INPUT', handle: 3, expr: [{ jump: { target: 'ufw-not-local' } }] } },
    { rule: { ...common, chain: 'ufw-not-local', handle: 68, expr: [xt('match', 'addrtype'), { return: null }] } },
    { rule: { ...common, chain: 'ufw-not-local', handle: 72, expr: [{ drop: null }] } },
  ]
  const needed = neededPackets({ hasWorkloads: false, uplink: 'eth0', tunnelPort: 4789 })
  const ruleset = readForeignRules([{ nftables: json }])
  assert.is(
    findForeignDrops(fillFromText(ruleset, '\tfib daddr type local counter packets 0 bytes 0 return # handle 68\n', common), needed).length,
    0,
  )
  const multicast = fillFromText(ruleset, '\tfib daddr type multicast return # handle 68\n', common)
  assert.is(findForeignDrops(multicast, needed)[0]?.handle, 72)
})

test.run()
