import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aGlobalPolicy } from '../../test/support/policies.ts'
import type { Rule } from '../model/rule.ts'
import { readPolicy } from './policies.ts'

const test = suite('policy/policies')

const web: Rule = { action: 'Allow', protocol: 'TCP', source: { selector: 'role == "web"' }, destination: { ports: [80] } }
const dns: Rule = { action: 'Allow', protocol: 'UDP', destination: { ports: [53] } }
const types = ['Ingress', 'Egress'] as const

/** Of a policy that is read again: which rules are the same objects. */
function kept(before: Parameters<typeof aGlobalPolicy>[1], after: Parameters<typeof aGlobalPolicy>[1]) {
  const first = readPolicy(aGlobalPolicy('p', before))
  const second = readPolicy(structuredClone(aGlobalPolicy('p', after)), first)
  assert.equal(second, readPolicy(aGlobalPolicy('p', after)), 'it says what it says without what was before')
  const [was, is] = [first?.rules, second?.rules]
  return {
    ingress: is?.ingress?.map((rule, i) => rule === was?.ingress?.[i]),
    isList: [is?.ingress === was?.ingress, is?.egress === was?.egress],
  }
}

test('rules that say what they said before are the same objects, and so is a list of such', () => {
  const before = { types, ingress: [web, dns], egress: [dns] }
  assert.equal(kept(before, { ...before, ingress: [web, web] }), { ingress: [true, false], isList: [false, true] })
  assert.equal(kept(before, { ...before, ingress: [web] }), { ingress: [true], isList: [false, true] })
  assert.equal(kept(before, { ...before, order: 7, selector: 'all()' }), { ingress: [true, true], isList: [true, true] })
})

test('another place is another rule, and in a policy of another tier none is the same: what they count is otherwise', () => {
  const before = { types, ingress: [web, dns], egress: [dns] }
  assert.equal(kept(before, { ...before, ingress: [dns, web] }), { ingress: [false, false], isList: [false, true] })
  assert.equal(kept(before, { ...before, tier: 'first' }), { ingress: [false, false], isList: [false, false] })
})

test.run()
