// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseDocuments } from './document.ts'

const test = suite('model/hostile')

const MIB = 1 << 20
const HEAD = 'apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata:\n  name: a\n'
const TOO_DEEP = /^not read: more than 64 objects and lists in each other$/
const TOO_MANY = /^the text has \d+ lines and items of YAML, at most 250000 are read: split it, or give it as JSON$/

/** So much processor time a text may take; a few seconds on a machine that has nothing else to do. Milliseconds. */
const MOST_MS = 30_000
/** So much more memory the process may have after a text. */
const MOST_MIB = 900

/** What a text comes to: why it is refused, or how many issues it has. */
const cases: readonly (readonly [name: string, text: () => string, want: RegExp | string])[] = [
  ['100 MiB', () => 'x'.repeat(100 * MIB), /^the text has 104857600 characters, at most 8388608 are read$/],
  ['8 MiB of brackets', () => '['.repeat(8 * MIB), TOO_DEEP],
  ['8 MiB of open objects', () => '{"a":'.repeat((8 * MIB) / 5), TOO_DEEP],
  ['8 MiB of lists in a line', () => '- '.repeat(4 * MIB), TOO_DEEP],
  ['2,000 objects in each other', () => Array.from({ length: 2000 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''), TOO_DEEP],
  [
    'aliases of aliases of aliases',
    () =>
      `a: &a [${'x,'.repeat(9)}x]\n${[...'bcdefghijklm'].map((name, i) => `${name}: &${name} [${`*${'abcdefghijkl'[i]},`.repeat(9)}x]\n`).join('')}`,
    /^not read: aliases stand for more than 20000 values$/,
  ],
  ['200,000 aliases', () => `a: &a x\nb: [${'*a,'.repeat(200_000)}x]\n`, /^not read: aliases stand for more than 20000 values$/],
  ['30,000 anchors and an alias', () => `${Array.from({ length: 30_000 }, (_, i) => `a${i}: &a${i} x\n`).join('')}b: *a0\n`, '2 issues'],
  ['8 MiB of empty lines', () => '\n'.repeat(8 * MIB), TOO_MANY],
  ['8 MiB of empty documents', () => '---\n'.repeat(2 * MIB), TOO_MANY],
  ['8 MiB of tags', () => `[${'!a,'.repeat((8 * MIB) / 3 - 1)}]`, TOO_MANY],
  ['one text of 8 MiB', () => `${HEAD}spec: {nets: ["${'x'.repeat(8 * MIB - 200)}"]}\n`, '1 issues'],
  ['a name of 4 MiB', () => `${HEAD.replace('name: a', `name: ${'a-'.repeat(2 * MIB)}!`)}spec: {}\n`, '1 issues'],
  ['a number of 4 million digits', () => `a: ${'9'.repeat(4_000_000)}\n`, '2 issues'],
  [
    '30,000 labels that can be none',
    () => `${HEAD}  labels: {${Array.from({ length: 30_000 }, (_, i) => `-a${i}: b`).join(',')}}\n`,
    '30000 issues',
  ],
  ['30,000 unknown fields', () => `${HEAD}spec: {${Array.from({ length: 30_000 }, (_, i) => `netz${i}: b`).join(',')}}\n`, '30000 issues'],
  [
    '3,000 unknown kinds',
    () => Array.from({ length: 3000 }, (_, i) => `apiVersion: projectcalico.org/v3\nkind: IPPol${i}\n---\n`).join(''),
    '3000 issues',
  ],
  [
    'a selector of 20,000 parentheses',
    () => `${HEAD.replace('Set', 'Policy')}spec: {selector: "${'('.repeat(20_000)}all()${')'.repeat(20_000)}"}\n`,
    '1 issues',
  ],
  ['a list of 50,000 empty documents', () => `[${'{},'.repeat(49_999)}{}]`, '100000 issues'],
]
for (const [name, text, want] of cases) {
  test(`${name}: an answer in bounded time and memory`, () => {
    const given = text()
    const [time, memory] = [process.cpuUsage(), process.memoryUsage.rss()]
    const said = answer(given)
    const { user, system } = process.cpuUsage(time)
    if (typeof want === 'string') assert.is(said, want)
    else assert.match(said, want)
    assert.ok((user + system) / 1000 <= MOST_MS, `it took ${(user + system) / 1000} ms`)
    const grown = (process.memoryUsage.rss() - memory) / MIB
    assert.ok(grown <= MOST_MIB, `it took ${grown} MiB`)
  })
}

function answer(text: string): string {
  try {
    return `${parseDocuments(text).reduce((sum, { issues }) => sum + issues.length, 0)} issues`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test.run()
