import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { applyPatch, type PatchType } from './patch.ts'

const test = suite('cli/patch')

const value = { spec: { cidr: 'a', uses: ['x', 'y'], bgp: { asNumber: 1, deep: { a: 1 } } }, labels: { k: 'v' } }

const cases: readonly (readonly [name: string, type: PatchType, patch: unknown, want: unknown])[] = [
  ['members replace, others stay', 'strategic', { spec: { cidr: 'b' } }, { ...value, spec: { ...value.spec, cidr: 'b' } }],
  ['null removes', 'merge', { spec: { bgp: null } }, { ...value, spec: { cidr: 'a', uses: ['x', 'y'] } }],
  ['null of what is not there is nothing', 'merge', { spec: { none: null } }, value],
  ['a list is replaced as a whole', 'strategic', { spec: { uses: ['z'] } }, { ...value, spec: { ...value.spec, uses: ['z'] } }],
  [
    'an object takes the place of a text',
    'merge',
    { spec: { cidr: { a: 1, b: null } } },
    { ...value, spec: { ...value.spec, cidr: { a: 1 } } },
  ],
  ['$patch: replace', 'strategic', { spec: { $patch: 'replace', cidr: 'b' } }, { ...value, spec: { cidr: 'b' } }],
  ['$patch: delete', 'strategic', { labels: { $patch: 'delete' } }, { spec: value.spec }],
  ['a merge patch knows no directives', 'merge', { labels: { $patch: 'delete' } }, { ...value, labels: { k: 'v', $patch: 'delete' } }],
  ['add a member', 'json', [{ op: 'add', path: '/spec/new', value: 1 }], { ...value, spec: { ...value.spec, new: 1 } }],
  [
    'add into a list',
    'json',
    [{ op: 'add', path: '/spec/uses/1', value: 'n' }],
    { ...value, spec: { ...value.spec, uses: ['x', 'n', 'y'] } },
  ],
  [
    'add at the end of a list',
    'json',
    [{ op: 'add', path: '/spec/uses/-', value: 'n' }],
    { ...value, spec: { ...value.spec, uses: ['x', 'y', 'n'] } },
  ],
  [
    'replace an item',
    'json',
    [{ op: 'replace', path: '/spec/uses/0', value: 'n' }],
    { ...value, spec: { ...value.spec, uses: ['n', 'y'] } },
  ],
  [
    'remove an item and a member',
    'json',
    [
      { op: 'remove', path: '/spec/uses/0' },
      { op: 'remove', path: '/labels' },
    ],
    { spec: { ...value.spec, uses: ['y'] } },
  ],
  [
    'move',
    'json',
    [{ op: 'move', from: '/spec/cidr', path: '/spec/bgp/cidr' }],
    { ...value, spec: { uses: ['x', 'y'], bgp: { asNumber: 1, deep: { a: 1 }, cidr: 'a' } } },
  ],
  ['copy', 'json', [{ op: 'copy', from: '/spec/cidr', path: '/labels/c' }], { ...value, labels: { k: 'v', c: 'a' } }],
  [
    'escaped names',
    'json',
    [{ op: 'add', path: '/labels/example.org~1a~0b', value: 'x' }],
    { ...value, labels: { k: 'v', 'example.org/a~b': 'x' } },
  ],
  ['a test that holds', 'json', [{ op: 'test', path: '/spec/bgp/deep', value: { a: 1 } }], value],
]
for (const [name, type, patch, want] of cases) {
  test(`${type}: ${name}`, () => {
    const before = structuredClone(value)
    assert.equal(applyPatch(type, value, patch), want)
    assert.equal(value, before)
  })
}

const wrong: readonly (readonly [type: PatchType, patch: unknown, err: RegExp])[] = [
  ['merge', [], /a merge patch is an object/],
  ['json', {}, /a JSON patch is a list of operations/],
  ['json', [{ op: 'add' }], /operation 1 of the patch needs "op" and "path"/],
  ['json', [{ op: 'add', path: '/a' }], /operation 1 of the patch \(add\) needs a "value"/],
  ['json', [{ op: 'move', path: '/a' }], /needs "from"/],
  ['json', [{ op: 'bad', path: '/a' }], /the operations are add, remove, replace, move, copy and test/],
  ['json', [{ op: 'remove', path: 'spec' }], /the path "spec" must begin with "\/"/],
  ['json', [{ op: 'remove', path: '/spec/none' }], /operation 1 of the patch \(remove \/spec\/none\): there is nothing at \/spec\/none/],
  ['json', [{ op: 'replace', path: '/none', value: 1 }], /there is nothing at \/none/],
  ['json', [{ op: 'add', path: '/spec/uses/7', value: 1 }], /the list has 2 items, "7" is not one of them/],
  ['json', [{ op: 'add', path: '/spec/cidr/x', value: 1 }], /there is no object that could hold "x"/],
  ['json', [{ op: 'test', path: '/spec/cidr', value: 'b' }], /it is "a", not "b"/],
]
for (const [type, patch, err] of wrong) {
  test(`${type}: ${JSON.stringify(patch)} is refused`, () => {
    assert.throws(
      () => applyPatch(type, value, patch),
      (error: Error) => err.test(error.message),
    )
  })
}

test.run()
