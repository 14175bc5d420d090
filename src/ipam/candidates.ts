import type { Finding, Repair } from './findings.ts'

/** A finding that would be collected. */
export type Collectable = Finding & { readonly repair: Repair }

/**
 * What scans found and nobody has collected yet, with since when each scan has found it. A scan that doesn't find it any more, or
 * finds another allocation of the same address, begins anew.
 */
export class Candidates {
  #since = new Map<string, number>()

  /** How many wait. */
  get size(): number {
    return this.#since.size
  }

  /** Takes what a scan found; gives what every scan has found for so long, at least two of them. Milliseconds. */
  note(findings: readonly Collectable[], nowMs: number, graceMs: number): readonly Collectable[] {
    const before = this.#since
    this.#since = new Map(findings.map(({ repair }) => [identityOf(repair), before.get(identityOf(repair)) ?? nowMs]))
    return findings.filter(({ repair }) => {
      const since = before.get(identityOf(repair))
      return since !== undefined && nowMs - since >= graceMs
    })
  }

  /** Forgets everything: somebody else looks after it. */
  clear(): void {
    this.#since.clear()
  }

  /** Forgets what was collected, so that it counts anew if it is found again. */
  forget(repairs: readonly Repair[]): void {
    for (const repair of repairs) this.#since.delete(identityOf(repair))
  }
}

/** Two findings of one identity are about the same allocation, claim or version of a record. */
export function identityOf(repair: Repair): string {
  if (repair.action === 'release-address') return `address ${repair.ip} ${repair.sequenceNumber} ${repair.handleId ?? ''}`
  if (repair.action === 'release-block') return `block ${repair.block} of ${repair.host}`
  if (repair.action === 'delete-block') return `block ${repair.block} ${repair.sequenceNumber}`
  return `handle ${repair.handleId} ${repair.revision}`
}
