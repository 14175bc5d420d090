import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatSelector, lookupIn, matchesSelector, selectorId } from './selector.ts'
import { parseSelector } from './selector-parse.ts'

const test = suite('model/selector')

const labels = { role: 'db', tier: '', in: 'x', 'a.b/c-d_e': '1', quote: 'say "hi"' }

const evaluated: readonly (readonly [string, boolean])[] = [
  ['', true],
  [' \t ', true],
  ['all()', true],
  ['all( )', true],
  ['global()', true],
  ['!all()', false],
  ['has(role)', true],
  ['has( role\t)', true],
  ['has(none)', false],
  ['!has(none)', true],
  ['!!has(role)', true],
  ['!!!has(role)', false],
  ['! ! has(role)', true],
  ["role == 'db'", true],
  ["role=='db'", true],
  ['role == "db"', true],
  ["role == 'DB'", false],
  ["tier == ''", true],
  ["none == ''", false],
  ["none != 'x'", true],
  ["role != 'db'", false],
  ["role in {'db', 'web'}", true],
  ["role in{'db'}", true],
  ["role in {'web',}", false],
  ['role in {}', false],
  ['role in { }', false],
  ['role not in {}', true],
  ["role not in {'db'}", false],
  ["role notin {'db'}", false],
  ["none not in {'db'}", true],
  ["none in {'db'}", false],
  ["role contains 'd'", true],
  ["role contains ''", true],
  ["none contains ''", false],
  ["role starts with 'd'", true],
  ["role startswith 'b'", false],
  ["role ends with 'b'", true],
  ["role endswith 'd'", false],
  ["in in {'x'}", true],
  ["contains == 'x'", false],
  ["has == 'x'", false],
  ["all != 'x'", true],
  ["not not in {'x'}", true],
  ["a.b/c-d_e == '1'", true],
  [`quote == 'say "hi"'`, true],
  ['has(role) && has(none) || all()', true],
  ['has(role) || has(none) && has(none)', true],
  ['(has(role) || has(none)) && has(none)', false],
  ['!has(none) && has(role)', true],
  ['!(has(role) && has(none))', true],
  ["((role == 'db'))", true],
  ["toString == 'x'", false],
  ['has(constructor)', false],
  ['has(__proto__)', false],
]
for (const [text, want] of evaluated) {
  test(`${JSON.stringify(text)} is ${want}`, () => assert.is(matchesSelector(parseSelector(text), lookupIn(labels)), want))
}

const operator = 'an operator (==, !=, in, not in, contains, starts with, ends with)'
const primary = 'a label, "(", "!", has(…) or all()'
const refused: readonly (readonly [string, string])[] = [
  ["role = 'db'", `at column 6 expected ${operator}, found "="`],
  ['role', `at column 5 expected ${operator}, found the end`],
  ['role == db', 'at column 9 expected a string in quotes, found "d"'],
  ["role == 'db", 'the string that begins at column 9 has no end'],
  ['has (role)', `at column 5 expected ${operator}, found "("`],
  ['all ()', `at column 5 expected ${operator}, found "("`],
  ['has()', 'at column 5 expected a label, found ")"'],
  ['has(a b)', 'at column 7 expected ")", found "b"'],
  ['has(a', 'at column 6 expected ")", found the end'],
  ['all(', 'at column 5 expected ")", found the end'],
  ['(all()', 'at column 7 expected ")", found the end'],
  ['all())', 'at column 6 expected "&&", "||" or the end, found ")"'],
  ['all() all()', 'at column 7 expected "&&", "||" or the end, found "a"'],
  ['all() &&', `at column 9 expected ${primary}, found the end`],
  ['&& all()', `at column 1 expected ${primary}, found "&"`],
  ['all() & all()', 'at column 7 expected "&&", "||" or the end, found "&"'],
  ['!', `at column 2 expected ${primary}, found the end`],
  ['()', `at column 2 expected ${primary}, found ")"`],
  ["role in 'db'", 'at column 9 expected "{", found "\'"'],
  ['role in {,}', 'at column 10 expected a string in quotes, found ","'],
  ["role in {'a' 'b'}", 'at column 14 expected "," or "}", found "\'"'],
  ["role in {'a'", 'at column 13 expected "," or "}", found the end'],
  ['role in {', 'at column 10 expected a string in quotes, found the end'],
  ["role not  in {'a'}", `at column 6 expected ${operator}, found "n"`],
  ["role\n== 'a'", `at column 5 expected ${operator}, found "\\n"`],
  ['all()\n', 'at column 6 expected "&&", "||" or the end, found "\\n"'],
  ["röle == 'a'", `at column 2 expected ${operator}, found "ö"`],
  ["== 'a'", `at column 1 expected ${primary}, found "="`],
  ["rolein {'a'}", `at column 8 expected ${operator}, found "{"`],
]
for (const [text, message] of refused) {
  test(`${JSON.stringify(text)} is refused`, () => {
    const want = `not a selector: ${JSON.stringify(text)}: ${message}`
    assert.throws(
      () => parseSelector(text),
      (error: Error) => error.message === want || assert.is(error.message, want),
    )
  })
}

test('parentheses without end are one error, not an overflow', () => {
  const deep = `${'('.repeat(20_000)}all()${')'.repeat(20_000)}`
  assert.throws(() => parseSelector(deep), /: more than 512 parentheses in each other$/)
  assert.is(parseSelector(`${'('.repeat(500)}all()${')'.repeat(500)}`).op, 'all')
  assert.is(parseSelector(`${'!'.repeat(20_001)}all()`).op, 'not')
})

test('a field holds 1024 characters', () => {
  assert.throws(() => parseSelector(`a == '${'x'.repeat(1018)}'`, 1024), /the selector has 1025 characters, 1024 are allowed/)
})

test('a label has up to 512 characters', () => {
  assert.is(parseSelector(`has(${'a'.repeat(512)})`).op, 'has')
  assert.throws(() => parseSelector(`has(${'a'.repeat(513)})`), /a label of up to 512 characters, this one has 513/)
})

const canonical = [
  ['', 'all()'],
  ["a=='b'", 'a == "b"'],
  [`a == 'say "x"'`, `a == 'say "x"'`],
  ["a in {'c','b','b'}", 'a in {"b", "c"}'],
  ['a notin {}', 'a not in {}'],
  ["a startswith 'b'", 'a starts with "b"'],
  ["a endswith 'b'", 'a ends with "b"'],
  ["a contains 'b'", 'a contains "b"'],
  ['!!has(a)', 'has(a)'],
  ['!(has(a)||has(b))', '!(has(a) || has(b))'],
  ['has(a)&&has(b)&&has(c)', '(has(a) && has(b) && has(c))'],
  ['has(a)&&(has(b)&&has(c))', '(has(a) && (has(b) && has(c)))'],
  ['((has(a)))', 'has(a)'],
  ['has(a)||has(b)&&has(c)', '(has(a) || (has(b) && has(c)))'],
] as const
for (const [text, want] of canonical) {
  test(`the canonical form of ${JSON.stringify(text)} is ${want}`, () => {
    assert.is(formatSelector(parseSelector(text)), want)
    assert.is(formatSelector(parseSelector(want)), want)
  })
}

test('an id is the SHA-224 of the canonical form', () => {
  const id = selectorId(parseSelector("a=='b'"))
  assert.is(id, selectorId(parseSelector('(a == "b")')))
  assert.is(id, 's:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ')
})

test('whatever is thrown at it, it parses or refuses with a ValidationError, and its canonical form means the same', () => {
  const word = fc.constantFrom(
    'has(',
    'all()',
    '(',
    ')',
    '!',
    '&&',
    '||',
    ' ',
    'a',
    'b',
    '==',
    '!=',
    " 'x'",
    ' "y"',
    ' in ',
    ' not in ',
    '{',
    '}',
    ',',
    'global()',
    '\t',
    '\n',
  )
  void fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), (words) => {
      let selector: ReturnType<typeof parseSelector>
      try {
        selector = parseSelector(words.join(''))
      } catch (error) {
        return assert.is((error as Error).name, 'ValidationError')
      }
      const again = parseSelector(formatSelector(selector))
      assert.is(formatSelector(again), formatSelector(selector))
      for (const given of [{}, { a: 'x' }, { a: 'y', b: 'x' }]) {
        assert.is(matchesSelector(again, lookupIn(given)), matchesSelector(selector, lookupIn(given)))
      }
    }),
    { numRuns: 2000 },
  )
})

test.run()
