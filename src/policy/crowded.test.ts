import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { NftRule } from '../kernel/objects.ts'
import type { Rule } from '../model/rule.ts'
import type { BlockRule } from './block.ts'
import { counterOf } from './counted-rule.ts'
import { crowdedPorts, isNamed, policiesByPort, withoutRepeated } from './crowded.ts'
import { readRule } from './match-rule.ts'

const test = suite('policy/crowded')
const TCP = 6
const UDP = 17

function block(rule: Rule): BlockRule {
  const counter = counterOf({ by: 'end', direction: 'ingress' })
  return { match: readRule(rule, undefined), counter, isFinal: true, effectIn: () => ({ verdict: { do: 'accept' } }) }
}

function onPorts(...ports: readonly (number | string)[]): BlockRule {
  return block({ action: 'Allow', protocol: 'TCP', destination: { ports } })
}

/** So many policies of which each says the same. */
function repeated(count: number, ...rules: readonly BlockRule[]): readonly (readonly BlockRule[])[] {
  return Array.from({ length: count }, () => rules)
}

test('the ports that most rules name come first, and the budget ends them', () => {
  // Of 200 rules 90 name these ports, and 80 may stand in rows.
  const named = [...repeated(20, onPorts(443)), ...repeated(40, onPorts(80)), ...repeated(30, onPorts(22))]
  const policies = [...named, ...repeated(110, onPorts('8000:8100'))]
  assert.equal(crowdedPorts(policies, TCP, 'any'), [80, 22])
  assert.equal(crowdedPorts(policies, TCP, 'by-port'), [80, 22, 443])
  assert.equal(crowdedPorts(policies, TCP, 'linear'), [])
  assert.equal(crowdedPorts(policies, UDP, 'any'), [])
})

test('rules that can match at any port are counted for each port', () => {
  const anyPort = block({ action: 'Deny', source: { nets: [] } })
  const policies = [...repeated(60, onPorts(80), onPorts(443)), ...repeated(60, anyPort)]
  assert.equal(crowdedPorts(policies, TCP, 'any'), [80])
})

test('short lists have none; in others the first has one, also where the budget is not enough for it', () => {
  assert.equal(crowdedPorts(repeated(49, onPorts(80), onPorts(443)), TCP, 'any'), [])
  assert.equal(crowdedPorts(repeated(50, onPorts(80), onPorts(443)), TCP, 'any'), [80])
})

test('a port is named by its number or in a range, for packets of the protocol', () => {
  const rules = [onPorts(80, '8000:8100')]
  const named = [80, 81, 7999, 8000, 8100, 8101].filter((port) => isNamed(rules, TCP, port))
  assert.equal([named, isNamed(rules, UDP, 80)], [[80, 8000, 8100], false])
})

test('asked about a port are, in their order, the policies that name it, have rules for any port or for ranges, and staged ones', () => {
  const policies = [
    [onPorts(80)],
    [onPorts(443)],
    [onPorts('8000:8100')],
    [onPorts('http')],
    [block({ action: 'Deny' })],
    [onPorts(80, 22)],
  ].map((rules, i) => ({ i, rules, isStaged: false }))
  const blocksAt = policiesByPort([...policies, { i: 6, rules: [onPorts(22)], isStaged: true }], TCP)
  const asked = (port: number) => blocksAt(port).map(({ i }) => i)
  assert.equal(
    [asked(80), asked(443), asked(22), asked(1)],
    [
      [0, 2, 3, 4, 5, 6],
      [1, 2, 3, 4, 6],
      [2, 3, 4, 5, 6],
      [2, 3, 4, 6],
    ],
  )
})

test('what an earlier rule has ended is left out, what it only logged or counted is not', () => {
  const match = { on: 'dport', value: 80 } as const
  const rule = (over: Partial<NftRule>): NftRule => ({ matches: [match], verdict: { do: 'accept' }, ...over })
  const log = rule({ verdict: { do: 'continue' } })
  const told = rule({ verdict: { do: 'jump', chain: 'x_1' } })
  const allowed = rule({})
  const other = rule({ matches: [{ on: 'dport', value: 81 }], verdict: { do: 'drop' } })
  assert.equal(withoutRepeated([log, told, allowed, other, rule({ verdict: { do: 'drop' } }), log]), [log, told, allowed, other])
})

test.run()
