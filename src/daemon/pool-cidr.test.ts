import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCidr } from '../net/cidr.ts'
import { chooseV4Pool, chooseV6Pool } from './pool-cidr.ts'

const test = suite('daemon/pool-cidr')

const cases = [
  { name: 'the first choice', taken: [], want: '10.65.0.0/16' },
  { name: 'the next where the host is in the first', taken: ['10.65.7.0/24'], want: '10.66.0.0/16' },
  { name: 'another range where the host is in all of 10.0.0.0/8', taken: ['10.0.0.0/8'], want: '172.16.0.0/16' },
  { name: 'beside Docker’s range', taken: ['10.0.0.0/8', '172.16.0.0/15'], want: '172.18.0.0/16' },
  { name: 'a default route is no network', taken: ['0.0.0.0/0', '::/0'], want: '10.65.0.0/16' },
  { name: 'none where all is taken', taken: ['10.0.0.0/8', '172.16.0.0/12'], want: undefined },
]
for (const { name, taken, want } of cases) test(name, () => assert.is(chooseV4Pool(taken.map(parseCidr)), want))

test('IPv6 is a /48 of unique local addresses from 40 random bits', () => {
  assert.is(chooseV6Pool(Buffer.from('0123456789', 'hex')), 'fd01:2345:6789::/48')
  assert.is(chooseV6Pool(Buffer.from('ffffffffffff', 'hex')), 'fdff:ffff:ffff::/48')
})

test.run()
