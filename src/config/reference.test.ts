import { readFileSync } from 'node:fs'
import { parse } from 'jsonc-parser'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from './load.ts'
import { renderExample, renderReference, shownDefault } from './reference.ts'
import { GROUPS, SETTINGS } from './schema.ts'

const test = suite('config/reference')

test('config.example.json is current: scripts/docs.mjs writes it', () => {
  assert.is(readFileSync('config.example.json', 'utf8'), renderExample())
})

test('config.example.json names every key with its default', () => {
  const example: unknown = parse(readFileSync('config.example.json', 'utf8'))
  for (const setting of SETTINGS) {
    const value = setting.path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], example)
    assert.equal(value, shownDefault(setting), setting.path)
  }
})

test('the example with an etcd makes the same configuration as no file at all', () => {
  const env = { MARGAY_ETCD_EMBEDDED: 'true' }
  const text = readFileSync('config.example.json', 'utf8')
  const withFile = load({ file: { path: 'config.example.json', text }, env, hostname: 'h1' })
  assert.equal(withFile.config, load({ env, hostname: 'h1' }).config)
})

test('docs/configuration.md is current: scripts/docs.mjs writes its tables', () => {
  const page = readFileSync('docs/configuration.md', 'utf8')
  assert.ok(page.endsWith(`\n\n${renderReference()}`))
})

test('every key has a doc, a flag and a variable of its own, and every group is described', () => {
  for (const key of ['path', 'doc', 'env', 'flag'] as const) assert.ok(SETTINGS.every((setting) => setting[key].length > 3))
  for (const key of ['path', 'env', 'flag'] as const) assert.is(new Set(SETTINGS.map((setting) => setting[key])).size, SETTINGS.length)
  assert.equal([...new Set(SETTINGS.map(({ path }) => path.split('.')[0]))], Object.keys(GROUPS))
})

test.run()
