import { isUtf8 } from 'node:buffer'
import { closeSync, createReadStream, openSync, readSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { MargayError } from '../errors.ts'

/** Of an input not more than this is read. Bytes. */
export const MOST_INPUT_BYTES = 32 << 20

/**
 * The text of a stream; `what` names it in errors, as `standard input`.
 *
 * @throws {MargayError} `file`, when it is longer than `MOST_INPUT_BYTES` or not UTF-8
 */
export async function readStream(stream: Readable, what: string, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  const stop = () => stream.destroy(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const chunk of stream) {
      chunks.push(chunk)
      size += chunk.length
      checkSize(size, what)
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
  return decodeText(Buffer.concat(chunks), what)
}

/** The text of what is no regular file (a pipe, a device), while Ctrl-C still works. */
export function readPipe(file: string, what: string, signal: AbortSignal): Promise<string> {
  return readStream(createReadStream(file), what, signal)
}

/** The text of a regular file, however long it has become since somebody looked. */
export function readFileText(file: string, what: string): string {
  const fd = openSync(file, 'r')
  try {
    const bytes = Buffer.allocUnsafe(MOST_INPUT_BYTES + 1)
    let size = 0
    for (let got = -1; got !== 0 && size < bytes.length; size += got) got = readSync(fd, bytes, size, bytes.length - size, null)
    checkSize(size, what)
    return decodeText(bytes.subarray(0, size), what)
  } finally {
    closeSync(fd)
  }
}

function checkSize(size: number, what: string): void {
  if (size > MOST_INPUT_BYTES) throw new MargayError('file', `${what} has more than ${MOST_INPUT_BYTES} bytes, the most that is read`)
}

/** Strict: a byte that is no UTF-8 would be stored as another character, and nobody would notice. */
function decodeText(bytes: Buffer, what: string): string {
  // Drops the mark of byte order as well.
  if (isUtf8(bytes)) return new TextDecoder().decode(bytes)
  const at = placeOfWrongByte(bytes)
  const line = bytes.subarray(0, at).toString('latin1').split('\n').length
  const isUtf16 = ['fffe', 'feff'].includes(bytes.subarray(0, 2).toString('hex'))
  const why = isUtf16
    ? 'it is UTF-16, "iconv -f UTF-16 -t UTF-8" makes it UTF-8'
    : `line ${line} has the byte 0x${bytes.toString('hex', at, at + 1)}`
  throw new MargayError('file', `${what} is not UTF-8: ${why}`)
}

/** Where the bytes first differ from what they would be read as. */
function placeOfWrongByte(bytes: Buffer): number {
  const read = Buffer.from(bytes.toString('utf8'))
  let at = 0
  while (bytes[at] === read[at]) at++
  return at
}
