import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nets } from '../../test/support/policies.ts'
import type { Rule } from '../model/rule.ts'
import { describeRule } from './describe-rule.ts'

const test = suite('policy/describe-rule')

const cases: readonly (readonly [rule: Rule, want: string])[] = [
  [{ action: 'Allow' }, 'Allow everything'],
  [{ action: 'Log', source: {}, destination: { nets: [] } }, 'Log everything'],
  [{ action: 'Deny', protocol: 'TCP', destination: { ports: [80, '8000:8100', 'http'] } }, 'Deny TCP to port 80, 8000:8100, http'],
  [{ action: 'Pass', ipVersion: 6, protocol: 132 }, 'Pass IPv6 132'],
  [{ action: 'Deny', notProtocol: 'UDP' }, 'Deny not UDP'],
  [{ action: 'Allow', protocol: 'ICMP', icmp: { type: 8 } }, 'Allow ICMP type 8'],
  [{ action: 'Allow', protocol: 'ICMPv6', notICMP: { type: 135, code: 0 } }, 'Allow ICMPv6 not type 135 code 0'],
  [
    { action: 'Allow', source: { nets: nets('10.65.0.0/16', '2001:db8::/64'), notNets: nets('10.65.1.0/24') } },
    'Allow from 10.65.0.0/16, 2001:db8::/64 not 10.65.1.0/24',
  ],
  [
    { action: 'Allow', source: { selector: "app == 'web'", notSelector: 'has(old)', namespaceSelector: "kind == 'shop'" } },
    `Allow from "app == 'web'" not "has(old)" in namespaces "kind == 'shop'"`,
  ],
  [
    { action: 'Allow', source: { serviceAccounts: { names: ['a', 'b'], selector: 'has(x)' } }, destination: { notPorts: [22] } },
    'Allow from service accounts a, b service accounts "has(x)" to not port 22',
  ],
  [{ action: 'Allow', destination: { services: { name: 'dns', namespace: 'core' } } }, 'Allow to service core/dns'],
  [{ action: 'Allow', destination: { services: { name: 'dns' } } }, 'Allow to service dns'],
  [{ action: 'Allow', http: { methods: ['GET'] } }, 'Allow with http, which matches nothing here'],
]
for (const [rule, want] of cases) {
  test(`a rule is said as: ${want}`, () => assert.is(describeRule(rule), want))
}

test.run()
