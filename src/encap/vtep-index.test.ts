import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aPeer, MAC1, MAC2 } from '../../test/support/planning.ts'
import { parseIp } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'
import { VtepIndex } from './vtep-index.ts'

const test = suite('encap/vtep-index')

function aClaimant(node: string, ip: string, mac: string) {
  return aPeer({ node, underlay: { 4: parseIp('192.0.2.9') }, vtep: { 4: { ip: parseIp(ip), mac: parseMac(mac) } } })
}

test('of two hosts with one tunnel address the first by name has it', () => {
  const index = new VtepIndex()
  index.set('h3', aClaimant('h3', '10.65.1.0', MAC2))
  const { affected } = index.set('h2', aClaimant('h2', '10.65.1.0', MAC1))
  assert.equal([...affected], ['h3'])
  assert.is(index.conflictOf('h2', 4, 'h1'), undefined)
  assert.is(index.conflictOf('h3', 4, 'h1'), 'its tunnel address 10.65.1.0 is also that of h2, which has it first')
  index.set('h2', undefined)
  assert.is(index.conflictOf('h3', 4, 'h1'), undefined)
})

test('of two hosts with one tunnel MAC the first by name has it', () => {
  const index = new VtepIndex()
  index.set('h2', aClaimant('h2', '10.65.1.0', MAC2))
  index.set('h3', aClaimant('h3', '10.65.2.0', MAC2))
  assert.is(index.conflictOf('h3', 4, 'h1'), `its tunnel MAC ${MAC2} is also that of h2, which has it first`)
})

test('what this host has is nobody else’s, whatever its name', () => {
  const index = new VtepIndex()
  index.set('h2', aClaimant('h2', '10.65.1.0', MAC2))
  index.set('h9', aClaimant('h9', '10.65.1.0', MAC1))
  assert.is(index.conflictOf('h2', 4, 'h9'), 'its tunnel address 10.65.1.0 is also that of h9, which has it first')
  assert.is(index.conflictOf('h9', 4, 'h9'), undefined)
  assert.equal(index.rivalsOf('h9'), ['h2'])
})

test('the set of underlay addresses changes only with the first and the last that claim one', () => {
  const index = new VtepIndex()
  assert.is(index.set('h2', aClaimant('h2', '10.65.1.0', MAC1)).areHostsChanged, true)
  assert.is(index.set('h3', aClaimant('h3', '10.65.2.0', MAC2)).areHostsChanged, false)
  assert.is(index.set('h2', undefined).areHostsChanged, false)
  assert.is(index.set('h3', aClaimant('h3', '10.65.3.0', MAC2)).areHostsChanged, false)
  assert.equal([...index.hosts], [['192.0.2.9', 1]])
})

test('after any changes it says what one made anew says, and names all whose conflicts are different', () => {
  const nodes = ['a', 'b', 'c', 'd']
  const change = fc.record({
    node: fc.constantFrom(...nodes),
    ip: fc.constantFrom('10.65.1.0', '10.65.2.0', undefined),
    mac: fc.constantFrom(MAC1, MAC2),
  })
  const conflicts = (index: VtepIndex) => nodes.map((node) => index.conflictOf(node, 4, 'c'))
  void fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const index = new VtepIndex()
      for (const { node, ip, mac } of changes) {
        const before = conflicts(index)
        const [given, kept] = [index.hostSet(4), new Set(index.hostSet(4))]
        const { affected } = index.set(node, ip === undefined ? undefined : aClaimant(node, ip, mac))
        const after = conflicts(index)
        assert.equal(new Set(given), kept, 'what was given away never changes')
        assert.equal([...index.hostSet(4), ...index.hostSet(6)].sort(), [...index.hosts.keys()].sort())
        for (const [n, name] of nodes.entries()) {
          if (before[n] !== after[n]) assert.ok(name === node || affected.has(name), `${name} was not named`)
        }
        const fresh = new VtepIndex()
        for (const name of [...nodes].reverse()) fresh.set(name, index.peers.get(name))
        assert.equal(conflicts(fresh), after)
        assert.equal(new Map(fresh.hosts), new Map(index.hosts))
      }
    }),
  )
})

test.run()
