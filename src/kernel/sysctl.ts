import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { KernelError } from '../errors.ts'
import { SLICE_MS, yieldToLoop } from './netlink/socket.ts'
import { withNetns } from './netns.ts'
import type { Sysctl } from './objects.ts'
import type { KernelTable } from './table.ts'

const ROOT = '/proc/sys'

/**
 * Kernel parameters of one network namespace, under /proc/sys/net. There is no telling which of them are ours, so a list
 * holds those that were put since the start; the first pass after a start puts all, which writes only what differs.
 * Removing one means to forget it: it keeps its value.
 *
 * Within one commit the order is: `accept_ra` of interfaces first (with forwarding on, an interface with 1 would drop its
 * routers' advertisements), then forwarding for all (it resets that of every interface), then the rest as given.
 */
export function createSysctlTable(netns: string | undefined): KernelTable<Sysctl> {
  const wanted = new Set<string>()
  const inside = <T>(work: () => T): T => (netns === undefined ? work() : withNetns(netns, work))
  return {
    async list(signal) {
      const found = new Map<string, Sysctl>()
      await inSlices([...wanted], signal, inside, (key) => {
        const value = readSysctl(key)
        if (value !== undefined) found.set(key, { key, value })
      })
      return found
    },
    async commit(delta, signal) {
      const failures = new Map<string, KernelError>()
      for (const key of delta.remove.keys()) wanted.delete(key)
      await inSlices([...delta.put.values()].sort(byOrder), signal, inside, ({ key, value }) => {
        wanted.add(key)
        try {
          if (readSysctl(key) !== value) writeSysctl(key, value)
        } catch (error) {
          if (!(error instanceof KernelError)) throw error
          failures.set(key, error)
        }
      })
      return failures
    },
  }
}

/** The value of a parameter without a newline, blanks between several numbers made one; undefined where there is none. */
export function readSysctl(key: string): string | undefined {
  try {
    return readFileSync(fileOf(key), 'utf8').trim().replaceAll(/\s+/g, ' ')
  } catch (error) {
    if (error instanceof KernelError) throw error
    return undefined
  }
}

/**
 * Writes a parameter of this thread's network namespace.
 *
 * @throws {KernelError} that names the parameter and the value
 */
export function writeSysctl(key: string, value: string): void {
  try {
    writeFileSync(fileOf(key), value)
  } catch (cause) {
    const errno = cause instanceof Error && 'errno' in cause && typeof cause.errno === 'number' ? { errno: -cause.errno } : {}
    throw new KernelError(`could not write ${JSON.stringify(value)} to the kernel parameter ${key}`, { cause, ...errno })
  }
}

/** Only what belongs to a network namespace can be reached, whatever an interface may be called. */
function fileOf(key: string): string {
  const file = path.join(ROOT, key)
  if (!file.startsWith(`${ROOT}/net/`) || file !== `${ROOT}/${key}`)
    throw new KernelError(`not a kernel parameter of a network: ${JSON.stringify(key)}`)
  return file
}

function byOrder(a: Sysctl, b: Sysctl): number {
  return orderOf(a.key) - orderOf(b.key)
}

function orderOf(key: string): number {
  if (key.endsWith('/accept_ra')) return 0
  return key === 'net/ipv4/ip_forward' || /^net\/ipv[46]\/conf\/all\/forwarding$/.test(key) ? 1 : 2
}

/** Does something for each in stretches, each within the network namespace. */
async function inSlices<T>(
  items: readonly T[],
  signal: AbortSignal,
  inside: (work: () => void) => void,
  each: (item: T) => void,
): Promise<void> {
  for (let at = 0; at < items.length; ) {
    const start = performance.now()
    inside(() => {
      while (at < items.length && performance.now() - start < SLICE_MS) {
        const item = items[at++]
        if (item !== undefined) each(item)
      }
    })
    if (at >= items.length) return
    await yieldToLoop()
    signal.throwIfAborted()
  }
}
