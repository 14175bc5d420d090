import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'

/** Standard output, or standard error, of which it is known whether everything arrived. */
export interface StandardOutput {
  write(text: string): void
  /** Why the rest of the output is lost: `EPIPE` when its reader has gone, as `head -1` does. */
  failure(): NodeJS.ErrnoException | undefined
  /** Resolves when all that was written is out, or lost. */
  flush(): Promise<void>
}

/**
 * Writes to a stream; after a failure nothing more, and the command goes on: what it changes in etcd must not be left half done
 * because its answers are not read to the end.
 */
export function createStandardOutput(stream: Writable & { readonly fd: number }): StandardOutput {
  let failure: NodeJS.ErrnoException | undefined
  const fail = (error?: NodeJS.ErrnoException | null) => {
    failure ??= error ?? undefined
  }
  stream.on('error', fail)
  const toFile = isFile(stream.fd)
  return {
    write: (text) => {
      if (failure !== undefined || text === '') return
      // The first to be called back is the write that failed, and is told why.
      if (!toFile) return void stream.write(text, fail)
      try {
        writeAll(stream.fd, text)
      } catch (error) {
        fail(error as NodeJS.ErrnoException)
      }
    },
    failure: () => failure,
    flush: () =>
      new Promise((resolve) => {
        stream.write('', (error) => resolve(fail(error)))
      }),
  }
}

function isFile(fd: number): boolean {
  const stat = fstatSync(fd)
  return stat.isFile() || stat.isBlockDevice()
}

/** All of it: Node 20 itself writes to a file once, and what a disk that is nearly full did not take is lost without a word. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}
