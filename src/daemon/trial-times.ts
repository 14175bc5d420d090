import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { writeStateFile } from './state-file.ts'

/**
 * When trials that this host has seen are over, by the clock of its kernel (CLOCK_MONOTONIC), so that a daemon that comes after goes by it
 * too: etcd gives a lease its whole time again when it elects another leader or is restarted. In the run folder: with a reboot both begin anew.
 */
export class TrialTimes {
  readonly #path: string
  readonly #log: Logger
  #ends: Readonly<Record<string, number>>

  constructor(runFolder: string, log: Logger) {
    this.#path = join(runFolder, 'trials.json')
    this.#log = log
    this.#ends = this.#read()
  }

  /** When it is over, as it was noted; undefined for one that was not seen. */
  endOf(key: string): number | undefined {
    return this.#ends[key]
  }

  /** Notes when these are over; others are forgotten. */
  note(ends: Readonly<Record<string, number>>): void {
    if (JSON.stringify(ends) === JSON.stringify(this.#ends)) return
    this.#ends = ends
    try {
      writeStateFile(this.#path, JSON.stringify(ends))
    } catch (error) {
      this.#log.warn({ path: this.#path, reason: describeError(error) }, 'times of trials could not be written')
    }
  }

  #read(): Readonly<Record<string, number>> {
    try {
      const read: unknown = JSON.parse(readFileSync(this.#path, 'utf8'))
      const entries = Object.entries(typeof read === 'object' && read !== null ? read : {})
      return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
    } catch {
      // None has run since the host started, or what it left is of no use: etcd is asked.
      return {}
    }
  }
}

/** Milliseconds since the host started: of one clock for all daemons that run after each other. */
export function kernelClockMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}
