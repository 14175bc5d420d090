import { readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkJson } from '../../../test/support/json-schema.ts'
import { FELIX_ORDER } from '../felix/order.ts'
import { felixConfigurationSpecSchema } from '../felix-configuration.ts'
import { fieldRows } from '../field-rows.ts'
import { kindInfo, RESOURCE_KINDS } from '../kinds.ts'
import { referencePages, renderKinds, renderSchemas } from './files.ts'
import { jsonSchemaOf } from './json-schema.ts'

const test = suite('model/reference')

const MARK = '<!-- made by scripts/docs.mjs from src/model: change it there -->\n'

for (const kind of RESOURCE_KINDS) {
  test(`every field of ${kind} says what margay does with it, in a sentence`, () => {
    const { specSchema, statusSchema } = kindInfo(kind)
    const rows = [...fieldRows(specSchema, 'spec'), ...fieldRows(statusSchema, 'status')]
    assert.ok(rows.length > 0)
    assert.equal(
      rows.filter(({ tag, description }) => tag === undefined || !/^[`A-Z0-9].*[.)]$/.test(description ?? '')).map(({ path }) => path),
      [],
    )
  })
}

test('the order of FelixConfiguration names each of its fields once', () => {
  assert.equal([...new Set(FELIX_ORDER)], FELIX_ORDER)
  assert.equal(Object.keys(felixConfigurationSpecSchema.shape), FELIX_ORDER)
})

test('the pages of all kinds are current, and there are no others: scripts/docs.mjs writes them', () => {
  const pages = referencePages()
  for (const [path, text] of pages) assert.is(readFileSync(path, 'utf8').split(MARK)[1], `\n${text}`, path)
  assert.equal(
    readdirSync('docs/resources')
      .map((name) => `docs/resources/${name}`)
      .sort(),
    [...pages.keys()].sort(),
  )
})

test('the table of kinds is current: scripts/docs.mjs writes it', () => {
  assert.is(readFileSync('docs/resources.md', 'utf8').split(MARK)[1], `\n${renderKinds()}`)
})

test('the schemas are current, and there are no others: scripts/docs.mjs writes them', () => {
  const schemas = renderSchemas()
  for (const [name, text] of schemas) assert.is(readFileSync(`schemas/${name}`, 'utf8'), text, name)
  assert.equal(readdirSync('schemas').sort(), [...schemas.keys()].sort())
})

const pool = (spec: unknown, more: object = {}) => ({
  ...{ apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name: 'p' }, spec },
  ...more,
})
const felix = (spec: unknown) => ({ ...pool(spec), kind: 'FelixConfiguration', metadata: { name: 'default' } })
const policy = (rule: unknown) => ({ ...pool({ ingress: [rule] }), kind: 'GlobalNetworkPolicy' })
const judged: readonly (readonly [string, { readonly kind: string }, readonly string[]])[] = [
  ['a pool', pool({ cidr: '10.0.0.0/8', vxlanMode: 'Always', blockSize: 26 }), []],
  ['an exported pool', pool({ cidr: '2001:db8::/48' }, { metadata: { name: 'p', uid: 'u', resourceVersion: '5' }, status: {} }), []],
  ['a misspelt field', pool({ cdir: '10.0.0.0/8' }), ['/spec: "cidr" is required', '/spec/cdir: unknown']],
  ['no spec where one is required', pool(undefined), ['/: "spec" is required']],
  ['a word', pool({ cidr: '10.0.0.0/8', vxlanMode: 'always' }), ['/spec/vxlanMode: not one of Never, Always, CrossSubnet']],
  ['a pool in a namespace', pool({ cidr: '10.0.0.0/8' }, { metadata: { name: 'p', namespace: 'n' } }), ['/metadata/namespace: unknown']],
  ['a word in any case', felix({ defaultEndpointToHostAction: 'RETURN', logSeverityScreen: 'info' }), []],
  ['another word', felix({ defaultEndpointToHostAction: 'Let' }), ['/spec/defaultEndpointToHostAction: fits none']],
  [
    'numbers out of bounds',
    felix({ vxlanPort: 65_536, vxlanVNI: 1.5 }),
    ['/spec/vxlanPort: more than 65535', '/spec/vxlanVNI: not integer'],
  ],
  ['a duration', felix({ reportingInterval: '1m30s' }), []],
  ['no duration', felix({ reportingInterval: '90' }), [`/spec/reportingInterval: fits not the pattern`]],
  ['a protocol', policy({ action: 'Allow', protocol: 132 }), []],
  ['no protocol', policy({ action: 'Allow', protocol: 'tcp' }), ['/spec/ingress/0/protocol: fits none']],
  ['a number that is no protocol', policy({ action: 'Allow', protocol: 256 }), ['/spec/ingress/0/protocol: fits none']],
  ['a rule without an action', policy({}), ['/spec/ingress/0: "action" is required']],
]
for (const [name, document, want] of judged) {
  test(`the schema judges ${name}`, () => {
    const kind = RESOURCE_KINDS.find((each) => each === document.kind)
    assert.equal(checkJson(kind === undefined ? {} : jsonSchemaOf(kind), document), want)
  })
}

test.run()
