import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Config } from '../../src/config.ts'
import { load } from '../../src/config.ts'
import { describeError } from '../../src/errors.ts'
import type { Interface } from '../../src/kernel/table.ts'
import type { LogFields, Logger } from '../../src/log.ts'
import type { LiveRecord } from '../../src/model/own/live.ts'

/** Builders of what the daemon's parts are made of. */

/** A signal that is never aborted. */
export const never = new AbortController().signal

/** A configuration of host h1 with these settings (raw, by the key's path) beside what must be given. */
export function aConfig(settings: Readonly<Record<string, string>> = {}): Config {
  const flags = new Map(Object.entries({ 'node.name': 'h1', 'etcd.endpoints': 'http://192.0.2.250:2379', ...settings }))
  return load({ flags, hostname: 'h1' }).config
}

/** An interface that is up, with global addresses. */
export function anInterface(name: string, addresses: readonly string[], more: Partial<Interface> = {}): Interface {
  return {
    ...{ name, index: 2, kind: undefined, mac: '02:00:00:00:00:01', mtuBytes: 1500, isUp: true, isLoopback: name === 'lo' },
    addresses: addresses.map((address) => ({ address, scope: 'global' as const, isDeprecated: false, isTentative: false })),
    ...more,
  }
}

/** What host h1 says of itself. */
export function aLiveRecord(over: Partial<LiveRecord> = {}): LiveRecord {
  const startedAt = '2026-11-21T09:00:00Z'
  return { node: 'h1', instance: 'first', version: '0', startedAt, addresses: [], receives: {}, ...over }
}

/** A logger that keeps its lines: level, message, and the reason or the error's message. */
export function aLog(): Logger & { readonly lines: readonly string[] } {
  const lines: string[] = []
  const write = (level: string) => (fields: LogFields, message: string) => {
    const why = fields.reason ?? (fields.err instanceof Error ? fields.err.message : undefined)
    lines.push(`${level} ${message}${why === undefined ? '' : `: ${why}`}`)
  }
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** A folder of this test's own. */
export function aFolder(): { readonly path: string; readonly close: () => void } {
  const path = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-`))
  return { path, close: () => rmSync(path, { recursive: true, force: true }) }
}

/** Waits until the look gives something, a few seconds at most. */
export async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = performance.now() + 8000
  while (performance.now() < deadline) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    await setImmediate()
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error(`did not come: ${what}`)
}

/** What a promise was rejected with, in words. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it was not refused',
    (error: unknown) => describeError(error),
  )
}
