import { isDeepStrictEqual } from 'node:util'
import { ValidationError } from '../errors.ts'
import { isObject, type JsonObject } from '../model/shape.ts'

/** How a patch says what to change. */
export const PATCH_TYPES = ['strategic', 'merge', 'json'] as const
export type PatchType = (typeof PATCH_TYPES)[number]

/**
 * A value with a patch applied: strategic and merge patches are objects whose members replace those of the value, `null` removing
 * one (RFC 7386; a strategic patch may also have `$patch: replace` and `$patch: delete`); a JSON patch is a list of operations (RFC 6902).
 *
 * @throws {ValidationError} naming what is wrong with the patch, or does not fit the value
 */
export function applyPatch(type: PatchType, value: JsonObject, patch: unknown): unknown {
  if (type === 'json') {
    if (!Array.isArray(patch))
      throw new ValidationError('a JSON patch is a list of operations such as [{"op": "replace", "path": "/spec/cidr", "value": …}]')
    return patch.reduce<unknown>((before, operation, index) => operate(before, operation, index), value)
  }
  if (!isObject(patch)) throw new ValidationError(`a ${type} patch is an object such as {"spec": {…}}`)
  return merge(value, patch, type === 'strategic')
}

/** Lists are replaced as a whole: no list of Calico's kinds has a key by which a strategic patch could merge its items. */
function merge(value: unknown, patch: unknown, isStrategic: boolean): unknown {
  if (!isObject(patch)) return patch
  const directive = isStrategic ? patch['$patch'] : undefined
  if (directive === 'delete') return undefined
  const rest = Object.entries(patch).filter(([name]) => !isStrategic || !name.startsWith('$'))
  const result: Record<string, unknown> = isObject(value) && directive !== 'replace' ? { ...value } : {}
  for (const [name, member] of rest) {
    const merged = member === null ? undefined : merge(result[name], member, isStrategic)
    if (merged === undefined) delete result[name]
    else result[name] = merged
  }
  return result
}

type Operation = { readonly op: string; readonly path: readonly string[]; readonly from: readonly string[]; readonly value: unknown }

function operate(root: unknown, raw: unknown, index: number): unknown {
  const { op, path, from, value } = readOperation(raw, index)
  const fail = (why: string) => new ValidationError(`operation ${index + 1} of the patch (${op} ${showPointer(path)}): ${why}`)
  const at = (pointer: readonly string[]) => {
    const found = pointer.reduce<unknown>((each, part) => (each === undefined ? undefined : memberAt(each, part)), root)
    if (found === undefined) throw fail(`there is nothing at ${showPointer(pointer)}`)
    return found
  }
  switch (op) {
    case 'add':
      return change(root, path, { value, isInsert: true }, fail)
    case 'replace':
      at(path)
      return change(root, path, { value, isInsert: false }, fail)
    case 'remove':
      at(path)
      return change(root, path, undefined, fail)
    case 'copy':
      return change(root, path, { value: at(from), isInsert: true }, fail)
    case 'move':
      return change(change(root, from, undefined, fail), path, { value: at(from), isInsert: true }, fail)
    case 'test':
      if (!isDeepStrictEqual(at(path), value)) throw fail(`it is ${JSON.stringify(at(path))}, not ${JSON.stringify(value)}`)
      return root
    default:
      throw fail('the operations are add, remove, replace, move, copy and test')
  }
}

function readOperation(raw: unknown, index: number): Operation {
  const given = isObject(raw) ? raw : {}
  const { op, path, from, value } = given
  if (typeof op !== 'string' || typeof path !== 'string') {
    throw new ValidationError(`operation ${index + 1} of the patch needs "op" and "path", it is ${JSON.stringify(raw)}`)
  }
  if (['add', 'replace', 'test'].includes(op) && value === undefined)
    throw new ValidationError(`operation ${index + 1} of the patch (${op}) needs a "value"`)
  if (['move', 'copy'].includes(op) && typeof from !== 'string')
    throw new ValidationError(`operation ${index + 1} of the patch (${op}) needs "from"`)
  return { op, path: readPointer(path, index), from: typeof from === 'string' ? readPointer(from, index) : [], value }
}

/** RFC 6901: `~1` is a slash, `~0` a tilde. */
function readPointer(text: string, index: number): readonly string[] {
  if (text === '') return []
  if (!text.startsWith('/'))
    throw new ValidationError(`operation ${index + 1} of the patch: the path ${JSON.stringify(text)} must begin with "/"`)
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function showPointer(path: readonly string[]): string {
  return path.length === 0 ? 'the whole' : `/${path.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`
}

function memberAt(value: unknown, part: string): unknown {
  if (Array.isArray(value)) return /^(0|[1-9]\d*)$/.test(part) ? value[Number(part)] : undefined
  return isObject(value) && Object.hasOwn(value, part) ? value[part] : undefined
}

type Put = { readonly value: unknown; readonly isInsert: boolean } | undefined

/** The value with another one put at a place, or what is there removed. */
function change(value: unknown, path: readonly string[], put: Put, fail: (why: string) => Error): unknown {
  const [part, ...rest] = path
  if (part === undefined) return put?.value
  if (Array.isArray(value)) return changeList(value, part, rest, put, fail)
  if (!isObject(value)) throw fail(`there is no object that could hold ${JSON.stringify(part)}`)
  const { [part]: before, ...others } = value
  const after = rest.length === 0 ? put?.value : change(before, rest, put, fail)
  return after === undefined ? others : { ...value, [part]: after }
}

function changeList(list: readonly unknown[], part: string, rest: readonly string[], put: Put, fail: (why: string) => Error): unknown {
  const index = part === '-' ? list.length : /^(0|[1-9]\d*)$/.test(part) ? Number(part) : Number.NaN
  if (!(index <= list.length)) throw fail(`the list has ${list.length} items, ${JSON.stringify(part)} is not one of them`)
  if (rest.length > 0) return list.with(index, change(list[index], rest, put, fail))
  if (put === undefined) return list.toSpliced(index, 1)
  return list.toSpliced(index, put.isInsert ? 0 : 1, put.value)
}
