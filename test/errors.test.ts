import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const test = suite('test/errors')

/** The ways in which a code stands in the source. */
const CODES = [
  /new (?:MargayError|IpamError|ConflictError)\(\s*'([a-z][a-z0-9-]*)'/g,
  /super\(\s*'([a-z][a-z0-9-]*)'/g,
  /\bcode: '([a-z][a-z0-9-]*)'/g,
  /'((?:store|ipam)-[a-z][a-z-]*)'/g,
  /\berror\.code : '([a-z][a-z0-9-]*)'/g,
  /\bcode \?\? '([a-z][a-z0-9-]*)'/g,
]

/** Codes of zod's issues, which are no errors of ours. */
const NOT_OURS = ['custom']

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.includes('generated'))
  .map((path) => ({ path: join('src', path), text: readFileSync(join('src', path), 'utf8') }))

const used = new Map(
  sources.flatMap(({ path, text }) =>
    CODES.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => [match[1] ?? '', path] as const)),
  ),
)
for (const code of NOT_OURS) used.delete(code)

const listed = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map((match) => match[1] ?? '')

test('every code in src is listed in docs/errors.md', () => {
  const missing = [...used].filter(([code]) => !listed.includes(code)).map(([code, path]) => `${code} (${path})`)
  assert.equal(missing, [])
})

test('docs/errors.md lists no code that is not in src, and none twice', () => {
  assert.equal(
    listed.filter((code) => !used.has(code)),
    [],
  )
  assert.is(new Set(listed).size, listed.length)
})

test.run()
