import { describeError, ValidationError } from '../errors.ts'
import { isIp, parseIp } from '../net/ip.ts'

/** Where a raw value stands: JSON in the file, where types count, or text in a flag or an environment variable. */
export type Written = 'file' | 'text'

/**
 * One kind of value. convict's own formats are not used: its Boolean makes `no`, `0` and `off` true, its port reads `80x` as 80,
 * its int reads `1e3` as 1.
 */
export interface Format<T> {
  /** What stands in the reference: `switch`, `port`, `path`. */
  readonly name: string
  /** @throws {ValidationError} with a message that names the value and what would be right */
  parse(raw: unknown, written: Written): T
}

/** The value as JSON, cut where it is long and without the user and password of a URL, for messages. */
export function quote(raw: unknown): string {
  const text = (JSON.stringify(raw) ?? String(raw)).replace(/:\/\/[^/@\s"]*@/g, '://…@')
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

/** A format over one piece of text: `check` gives the value or throws. */
export function textFormat<T>(name: string, check: (text: string) => T): Format<T> {
  return {
    name,
    parse(raw) {
      if (typeof raw !== 'string') throw new ValidationError(`${quote(raw)} is not text, give it in double quotes`)
      return check(raw)
    },
  }
}

/** `true` or `false`; in flags and the environment also `yes no on off 1 0`, in any case. */
export const flag: Format<boolean> = {
  name: 'switch',
  parse(raw, written) {
    if (typeof raw === 'boolean') return raw
    const word = typeof raw === 'string' && written === 'text' ? raw.toLowerCase() : ''
    if (['true', 'yes', 'on', '1'].includes(word)) return true
    if (['false', 'no', 'off', '0'].includes(word)) return false
    throw new ValidationError(`${quote(raw)} is not a switch, give true or false${written === 'file' ? ' without quotes' : ''}`)
  },
}

/** A whole number in a range, in plain decimal digits. */
export function uint(name: string, min: number, max: number): Format<number> {
  return {
    name,
    parse(raw, written) {
      const isDigits = typeof raw === 'string' && written === 'text' && /^(0|[1-9]\d{0,14})$/.test(raw)
      const value = isDigits ? Number(raw) : raw
      if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
      const hint = written === 'file' && typeof raw === 'string' ? ' without quotes' : ''
      throw new ValidationError(`${quote(raw)} is not a ${name}, give a whole number from ${min} to ${max}${hint}`)
    },
  }
}

/** A TCP or UDP port that can be listened on. */
export const port = uint('port', 1, 65535)

/** One word of several. */
export function oneOf<T extends string>(name: string, words: readonly T[]): Format<T> {
  return textFormat(name, (text) => {
    const found = words.find((word) => word === text)
    if (found === undefined) throw new ValidationError(`${quote(text)} is not a ${name}, give ${orList(words)}`)
    return found
  })
}

/** A list: a JSON array in the file, items between commas in flags and the environment. No item twice. */
export function csv(item: Format<string>): Format<readonly string[]> {
  return {
    name: `list of ${item.name}${item.name.endsWith('s') ? 'es' : 's'}`,
    parse(raw, written) {
      const items = parseEach(listItems(raw, written), (each) => item.parse(each, written))
      const twice = items.find((each, i) => items.indexOf(each) !== i)
      if (twice !== undefined) throw new ValidationError(`${quote(twice)} is given twice`)
      return items
    },
  }
}

/** Every item that is bad is named, not only the first. */
function parseEach(items: readonly unknown[], parse: (item: unknown) => string): readonly string[] {
  const faults: string[] = []
  const parsed = items.flatMap((each) => {
    try {
      return [parse(each)]
    } catch (error) {
      faults.push(describeError(error))
      return []
    }
  })
  if (faults.length > 0) throw new ValidationError(faults.join('; '))
  return parsed
}

function listItems(raw: unknown, written: Written): readonly unknown[] {
  if (Array.isArray(raw)) return raw
  if (typeof raw !== 'string') throw new ValidationError(`${quote(raw)} is not a list, give ["…", "…"]`)
  if (written === 'file') throw new ValidationError(`${quote(raw)} is not a list, give ${quote(raw.split(',').map((each) => each.trim()))}`)
  if (raw.trim() === '') return []
  const items = raw.split(',').map((each) => each.trim())
  if (items.includes('')) throw new ValidationError(`${quote(raw)} has an empty item, give the items with one comma between them`)
  return items
}

/** A file or folder, absolute. Empty where `isOptional`. */
export function path(isOptional: boolean): Format<string> {
  return textFormat('path', (text) => {
    if (text === '' && isOptional) return text
    if (!text.startsWith('/') || text.includes('\0'))
      throw new ValidationError(`${quote(text)} is not an absolute path, give one that begins with /`)
    return text.length > 1 ? text.replace(/\/+$/, '') : text
  })
}

/** The path of a unix socket: the kernel takes at most 107 bytes (unix(7)). */
export const socketPath: Format<string> = textFormat('path', (text) => {
  const value = path(false).parse(text, 'text')
  const length = Buffer.byteLength(value)
  if (length > 107) throw new ValidationError(`${quote(text)} has ${length} bytes, the path of a unix socket has at most 107`)
  return value
})

/** One IP address of either family, in canonical form. */
export const ip: Format<string> = textFormat('address', (text) => {
  if (!isIp(text)) throw new ValidationError(`${quote(text)} is not an IP address, give one such as 127.0.0.1 or ::1`)
  return parseIp(text)
})

/** An address to listen on beside loopback; the wildcards would take loopback's port too. */
export const listenIp: Format<string> = textFormat('address', (text) => {
  const address = ip.parse(text, 'text')
  if (address !== '0.0.0.0' && address !== '::') return address
  throw new ValidationError(`${quote(text)} stands for every address, give those by which other hosts reach this one, such as 192.0.2.1`)
})

/** A word without blanks or control characters, possibly empty. */
export const word: Format<string> = textFormat('name', (text) => {
  for (const each of text) {
    if (each <= ' ' || each === '\u007f') throw new ValidationError(`${quote(text)} has a blank or a control character in it`)
  }
  return text
})

/** An etcd endpoint: scheme, host and port, nothing else. A password in it would be shown wherever the endpoint is. */
export const url: Format<string> = textFormat('URL', (text) => {
  if (/^\w+:\/\/[^/]*@/.test(text)) throw new ValidationError('a URL with a user in it, give etcd.username and etcd.passwordFile instead')
  const match = /^(https?):\/\/(\[[^\]]+\]|[^/:?#[\]\s]+)(?::(\d+))?\/?$/.exec(text)
  const [, scheme, host, digits] = match ?? []
  if (scheme === undefined || host === undefined || !isHost(host)) {
    throw new ValidationError(`${quote(text)} is not an endpoint, give http://HOST:PORT or https://HOST:PORT`)
  }
  if (digits === undefined) throw new ValidationError(`${quote(text)} has no port, give ${scheme}://${host}:2379`)
  return `${scheme}://${host}:${port.parse(digits, 'text')}`
})

function isHost(host: string): boolean {
  if (host.startsWith('[')) return host.includes(':') && isIp(host.slice(1, -1))
  return isIp(host) || /^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$/.test(host)
}

/** Turns a parser of ours that throws into a format, with what would be right (`give …`) behind its message. */
export function parsed(name: string, parse: (text: string) => string, right: string): Format<string> {
  return textFormat(name, (text) => {
    try {
      return parse(text)
    } catch (cause) {
      throw new ValidationError(`${describeError(cause)}, ${right}`)
    }
  })
}

/** `a, b or c`. */
export function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`
}
