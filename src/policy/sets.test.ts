import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseSelector } from '../model/selector-parse.ts'
import type { Cidr } from '../net/cidr.ts'
import { withoutCovered } from '../net/prefix-set.ts'
import { type AddressSet, namedPortSet, selectorSet } from './address-set.ts'
import { SetContent } from './sets.ts'

const test = suite('policy/sets')

const web = selectorSet(parseSelector('role == "web"'))
const http = namedPortSet(parseSelector('role == "web"'), 6, 'http')

function apply(content: SetContent, added: readonly string[], removed: readonly string[] = []): readonly string[] {
  for (const _ of content.apply({ added: new Set(added), removed: new Set(removed) })) {
    // Tests have all the time there is.
  }
  return [...content.object.elements].sort()
}

const cases: readonly {
  name: string
  set?: AddressSet
  family?: 4 | 6
  steps: readonly { add?: readonly string[]; remove?: readonly string[]; want: string }[]
}[] = [
  {
    name: 'addresses are a hash, of one family each',
    steps: [
      { add: ['10.65.0.1/32', '2001:db8::1/128'], want: 'hash 10.65.0.1' },
      { add: ['10.65.0.2/32'], remove: ['10.65.0.1/32'], want: 'hash 10.65.0.2' },
    ],
  },
  { name: 'the other family', family: 6, steps: [{ add: ['10.65.0.1/32', '2001:db8::1/128'], want: 'hash 2001:db8::1' }] },
  {
    name: 'with a prefix it is a set of intervals, without it a hash again',
    steps: [
      { add: ['10.65.0.1/32', '10.66.0.0/24'], want: 'interval 10.65.0.1/32 10.66.0.0/24' },
      { remove: ['10.66.0.0/24'], want: 'hash 10.65.0.1' },
    ],
  },
  {
    name: 'what a prefix covers is hidden until the prefix goes',
    steps: [
      { add: ['10.65.0.1/32', '10.65.0.0/24', '10.0.0.0/30'], want: 'interval 10.0.0.0/30 10.65.0.0/24' },
      { add: ['10.65.0.0/16', '10.65.9.9/32'], want: 'interval 10.0.0.0/30 10.65.0.0/16' },
      { remove: ['10.65.0.0/24'], want: 'interval 10.0.0.0/30 10.65.0.0/16' },
      { remove: ['10.65.0.0/16'], want: 'interval 10.0.0.0/30 10.65.0.1/32 10.65.9.9/32' },
    ],
  },
  { name: 'addresses with ports', set: http, steps: [{ add: ['10.65.0.1/32,6,80'], want: 'hash 10.65.0.1,6,80' }] },
]

for (const { name, set = web, family = 4, steps } of cases) {
  test(name, () => {
    const content = new SetContent(set, family)
    for (const { add = [], remove = [], want } of steps) {
      const elements = apply(content, add, remove)
      assert.is(`${content.object.isInterval ? 'interval' : 'hash'} ${elements.join(' ')}`, want)
    }
  })
}

test('a set of intervals has another name than the hash, and each family its own', () => {
  const contents = [new SetContent(web, 4), new SetContent(web, 6), new SetContent(http, 4)]
  const before = contents.map((content) => content.object.name)
  for (const content of contents.slice(0, 2)) apply(content, ['10.0.0.0/8', '2001:db8::/32'])
  assert.is(new Set([...before, ...contents.slice(0, 2).map((content) => content.object.name)]).size, 5)
})

test('one member more shares all others, and many changes lead where a fresh set starts', () => {
  const content = new SetContent(web, 4)
  const members = new Set<string>()
  for (let i = 0; i < 400; i++) {
    const lengths = [32, 32, 31, 28, 24, 16, 0]
    const cidrs = Array.from({ length: 1 + (i % 12) }, (_, k) => {
      const length = lengths[(i * 7 + k * 3) % (i % 50 === 0 ? 7 : 6)] ?? 32
      const address = ((10 << 24) + ((i * 2_654_435_761 + k * 40_503) % 1024)) >>> 0
      const masked = length === 0 ? 0 : (address & (0xffff_ffff << (32 - length))) >>> 0
      return `${masked >>> 24}.${(masked >>> 16) & 255}.${(masked >>> 8) & 255}.${masked & 255}/${length}`
    })
    const isRemoval = i % 3 === 2
    const changed = new Set(cidrs.filter((cidr) => members.has(cidr) === isRemoval))
    for (const cidr of changed) isRemoval ? members.delete(cidr) : members.add(cidr)
    apply(content, isRemoval ? [] : [...changed], isRemoval ? [...changed] : [])
    const isInterval = [...members].some((cidr) => !cidr.endsWith('/32'))
    const want = isInterval ? withoutCovered([...members] as Cidr[]) : [...members].map((cidr) => cidr.slice(0, -3))
    assert.equal([...content.object.elements].sort(), [...want].sort(), `after ${i}`)
  }
})

test.run()
