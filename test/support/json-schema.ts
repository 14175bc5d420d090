type Json = Readonly<Record<string, unknown>>

/**
 * What is wrong with a value by a JSON Schema, for the words of JSON Schema that our schemas use: an independent reader of them.
 * A word that is not known here is an error, so that no test passes because it was overlooked. For tests.
 */
export function checkJson(schema: Json, value: unknown, path = ''): readonly string[] {
  const faults = Object.entries(schema).flatMap(([word, wanted]) => {
    const check = WORDS[word]
    if (check === undefined) throw new Error(`the schema uses ${word}, which this test does not know`)
    return check(wanted, value, path, schema)
  })
  return path === '' ? faults.map((fault) => (fault.startsWith(':') ? `/${fault}` : fault)) : faults
}

type Check = (wanted: unknown, value: unknown, path: string, schema: Json) => readonly string[]

const nothing: Check = () => []
const when = (isWrong: boolean, path: string, fault: string) => (isWrong ? [`${path}: ${fault}`] : [])

const WORDS: Readonly<Record<string, Check>> = {
  ...{ $schema: nothing, title: nothing, description: nothing, default: nothing, format: nothing },
  type: (wanted, value, path) => when(!isOfType(String(wanted), value), path, `not ${String(wanted)}`),
  const: (wanted, value, path) => when(value !== wanted, path, `not ${String(wanted)}`),
  enum: (wanted, value, path) => when(!(wanted as unknown[]).includes(value), path, `not one of ${(wanted as unknown[]).join(', ')}`),
  minimum: (wanted, value, path) => when(typeof value === 'number' && value < Number(wanted), path, `less than ${String(wanted)}`),
  maximum: (wanted, value, path) => when(typeof value === 'number' && value > Number(wanted), path, `more than ${String(wanted)}`),
  maxLength: (wanted, value, path) => when(typeof value === 'string' && value.length > Number(wanted), path, 'too long'),
  pattern: (wanted, value, path) =>
    when(typeof value === 'string' && !new RegExp(String(wanted)).test(value), path, 'fits not the pattern'),
  anyOf: (wanted, value, path) => when(!(wanted as Json[]).some((each) => checkJson(each, value, '/').length === 0), path, 'fits none'),
  required: (wanted, value, path) =>
    (wanted as string[]).flatMap((name) => when(isObject(value) && value[name] === undefined, path, `${JSON.stringify(name)} is required`)),
  items: (wanted, value, path) =>
    Array.isArray(value) ? value.flatMap((item, index) => checkJson(wanted as Json, item, `${path}/${index}`)) : [],
  properties: (wanted, value, path) =>
    Object.entries(wanted as Json).flatMap(([name, schema]) =>
      isObject(value) && value[name] !== undefined ? checkJson(schema as Json, value[name], `${path}/${name}`) : [],
    ),
  additionalProperties: (wanted, value, path, { properties = {} }) =>
    Object.entries(isObject(value) ? value : {}).flatMap(([name, member]) => {
      if (Object.hasOwn(properties as Json, name)) return []
      return wanted === false ? [`${path}/${name}: unknown`] : checkJson(wanted as Json, member, `${path}/${name}`)
    }),
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isOfType(type: string, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isObject(value)
  if (type === 'integer') return Number.isInteger(value)
  return typeof value === type
}
