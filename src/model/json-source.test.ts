import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseDocuments } from './document.ts'
import { readJsonSource } from './json-source.ts'
import { readSource } from './yaml-source.ts'

const test = suite('model/json-source')

const POOL = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/8' } }
const WRONG = { ...POOL, metadata: { name: 'P', labels: { 'a.b/c': 5 } }, spec: { cdir: 'x', allowedUses: ['Tunnel', 'Pod'] } }

/** Texts that are read as JSON: what is told of them, and where, is what YAML's reader tells of the same text. */
const texts: readonly (readonly [string, string])[] = [
  ['one document', JSON.stringify(POOL)],
  ['one with indents', JSON.stringify(WRONG, undefined, 2)],
  ['one with tabs and carriage returns', JSON.stringify(WRONG, undefined, '\t').replaceAll('\n', '\r\n')],
  ['a list', `\n  [${JSON.stringify(POOL)},\n${JSON.stringify(WRONG)} , ${JSON.stringify(WRONG, undefined, 1)}]\n\n`],
  ['lists in lists', JSON.stringify([[POOL, [WRONG]], []])],
  [
    'an exported list',
    JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind: 'IPPoolList', metadata: {}, items: [POOL, WRONG] }, undefined, 4),
  ],
  [
    'strings with brackets, quotes and escapes',
    JSON.stringify({ ...WRONG, spec: { nodeSelector: 'a == "]}{[" && \\ é 😀 \u2028', cidr: '}' } }),
  ],
  ['nothing where something is', '{"apiVersion": null, "kind": "IPPool", "metadata": {}, "spec": []}'],
  [
    'numbers',
    '{"apiVersion":"projectcalico.org/v3","kind":"IPPool","metadata":{"name":-1.5e3},"spec":{"cidr":12345678901234567890,"blockSize":2.5}}',
  ],
  ['no object', '[5, "x", true, null, {}]'],
]
for (const [name, text] of texts) {
  test(`${name}: YAML's reader would tell the same`, () => {
    assert.ok(readJsonSource(text, 64) !== undefined)
    // A comment makes it YAML, on the line after it.
    const asYaml = parseDocuments(`# yaml\n${text}`)
    const lower = <P extends { readonly line: number }>(place: P): P => ({ ...place, line: place.line + 1 })
    const asJson = parseDocuments(text).map((document) => ({
      ...document,
      place: lower(document.place),
      issues: document.issues.map(lower),
      unheeded: document.unheeded.map(lower),
    }))
    assert.equal(asJson, asYaml)
  })
}

const deep = (levels: number) => `${'['.repeat(levels)}1${']'.repeat(levels)}`
const others: readonly (readonly [string, string])[] = [
  ['YAML', 'kind: IPPool'],
  ['a scalar', '"kind"'],
  ['nothing', ''],
  ['YAML in braces', '{kind: IPPool}'],
  ['a comma too many', '{"a":[1,]}'],
  ['a comma too few', '{"a":1 "b":2}'],
  ['a colon too few', '{"a" 1}'],
  ['a bracket too few', '[[1]'],
  ['a bracket of the other kind', '{"a":[1}]'],
  ['something behind it', '{} {}'],
  ['two documents', '{}\n---\n{}'],
  ['a string that does not end', '["a'],
  ['a name that does not end', '{"a'],
  ['a word that JSON does not have', '[yes]'],
  ['a string of more than one line', '["a\nb"]'],
  ['a comment', '[1] # one'],
  ['a name twice', '{"a":1,"b":{"a":2},"a":3}'],
  ['a name that is spelt with an escape', '{"\\u0061":1}'],
  ['65 levels', deep(65)],
]
for (const [name, text] of others) {
  test(`${name} is left to YAML's reader`, () => assert.is(readJsonSource(text, 64), undefined))
}

test('64 levels are read, more are refused as in YAML', () => {
  assert.ok(readJsonSource(deep(64), 64) !== undefined)
  assert.throws(() => readSource(deep(65)), /^not read: more than 64 objects and lists in each other$/)
  assert.throws(() => readSource(deep(100_000)), /^not read: more than 64 objects and lists in each other$/)
})

test('a name that stands twice is told with its place', () => {
  assert.throws(() => readSource('{"a":1,\n "a":3}'), /^not YAML: Map keys must be unique \(line 2, column 2\)$/)
})

test('where something is that is not there: the nearest part around it', () => {
  const source = readJsonSource('{"a": [ 10, {"b": 1}]}', 64)
  const places: readonly (readonly [readonly PropertyKey[], number])[] = [
    [[], 0],
    [['a'], 1],
    [['a', 0], 8],
    [['a', 1], 12],
    [['a', 1, 'b'], 13],
    [['a', 1, 'b', 'c'], 13],
    [['a', 2], 1],
    [['x', 'y'], 0],
  ]
  assert.equal(
    places.map(([path]) => [path, source?.offsetOf(path)]),
    places,
  )
})

test.run()
