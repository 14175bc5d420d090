import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Cidr } from '../../net/cidr.ts'
import type { NftRule } from '../objects.ts'
import { encodeRule } from './expressions.ts'
import { commentUserData, hashFromUserData, hashRule, hashToUserData } from './hash.ts'

const test = suite('kernel/nftables/expressions')

const aRule: NftRule = {
  matches: [
    { on: 'saddr', value: '10.65.0.0/16' as Cidr },
    { on: 'protocol', value: 17 },
  ],
  verdict: { do: 'drop' },
}

test('the same rule has the same hash, and every difference another one', () => {
  const others: readonly NftRule[] = [
    { ...aRule, isCounted: true },
    { ...aRule, verdict: { do: 'accept' } },
    { ...aRule, matches: aRule.matches.toReversed() },
    { ...aRule, matches: [{ on: 'daddr', value: '10.65.0.0/16' as Cidr }, ...aRule.matches.slice(1)] },
    { ...aRule, matches: [{ on: 'saddr', value: '10.65.0.0/16' as Cidr, negate: true }, ...aRule.matches.slice(1)] },
    { ...aRule, matches: [{ on: 'saddr', value: '10.65.0.0/17' as Cidr }, ...aRule.matches.slice(1)] },
  ]
  const hashes = [aRule, structuredClone(aRule), ...others].map((rule) => hashRule(encodeRule(rule)))
  assert.is(hashes[0], hashes[1])
  assert.is(new Set(hashes).size, 1 + others.length)
})

test('the family is looked at once for several addresses of it', () => {
  const one: NftRule = { matches: [{ on: 'saddr', value: '10.65.0.0/16' as Cidr }], verdict: { do: 'accept' } }
  const two: NftRule = { ...one, matches: [...one.matches, { on: 'daddr', value: '10.66.0.0/16' as Cidr }] }
  const checks = (rule: NftRule) => encodeRule(rule).toString('latin1').split('meta').length - 1
  assert.equal([checks(one), checks(two)], [1, 1])
})

test('a hash is found in user data beside a comment, and none in what others wrote', () => {
  const hash = hashRule(encodeRule(aRule))
  assert.is(hashFromUserData(Buffer.concat([commentUserData('by policy web'), hashToUserData(hash)])), hash)
  assert.is(hashFromUserData(commentUserData('by hand')), '')
  assert.is(hashFromUserData(Buffer.of(0x6d, 200, 1)), '')
  assert.is(hashFromUserData(undefined), '')
})

test.run()
