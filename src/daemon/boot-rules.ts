import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { nftScriptParts } from '../kernel/nftables/script.ts'
import type { NftObject } from '../kernel/objects.ts'
import { Pace } from '../kernel/pace.ts'
import type { Logger } from '../log.ts'
import { TOMBSTONE_NAMES } from '../policy/tombstones.ts'
import type { Change, View } from '../store/view.ts'
import { DelayedWrite } from './delayed-write.ts'
import { replaceStateFile } from './state-file.ts'

/** Where the boot rules are, below the state folder. margay-boot.service has it with the default folder. */
export function bootRulesPath(stateFolder: string): string {
  return join(stateFolder, 'boot.nft')
}

const HEADER = `#!/usr/sbin/nft -f
# The rules of this host as margayd had applied them last. margay-boot.service loads them before the network is up; margayd, when it
# runs, replaces them. Written anew with each change: what is changed here is lost.
`

/**
 * Chains that are not in force before the daemon runs. It finds out at each boot whether this host is a router of its own, and has not
 * turned forwarding on before: until then the host forwards as it is configured to.
 */
const LEFT_OUT: ReadonlySet<string> = new Set(['filter-forward', ...TOMBSTONE_NAMES])

/** What the table of the policy holds; with the same revision it is the same. */
export interface AppliedRules {
  readonly objects: ReadonlyMap<string, NftObject>
  readonly revision: number
}

/**
 * The rules with which a host with host endpoints boots, so that it is closed before the daemon runs and also where it does not come up:
 * all that the table of the policy held after the last good pass, as a script for `nft -f`. A host without host endpoints has no file.
 */
export class BootRules {
  readonly #node: string
  readonly #path: string
  readonly #log: Logger
  readonly #delayed: DelayedWrite
  /** What belongs into the file; empty: no file. Undefined before the first good pass. */
  #objects: readonly NftObject[] | undefined
  #revision: number | undefined
  #view: View | undefined
  #hasHostEndpoints = false
  /** Of the text that this run has written. */
  #hash: string | undefined

  constructor(stateFolder: string, node: string, log: Logger) {
    this.#node = node
    this.#path = bootRulesPath(stateFolder)
    this.#log = log
    this.#delayed = new DelayedWrite({ path: this.#path, write: () => this.#write(), complaint: 'boot rules could not be written', log })
  }

  /** Why the file could not be brought up to date the last time; what it was stays. */
  get problem(): string | undefined {
    return this.#delayed.problem
  }

  /**
   * A pass is over: `applied` is what the table holds now, undefined where that is not what is wanted (something was refused, or the
   * view is an old one).
   */
  note(view: View, changes: readonly Change[], applied: AppliedRules | undefined): void {
    if (view !== this.#view || changes.some(({ kind }) => kind === 'HostEndpoint')) {
      this.#view = view
      this.#hasHostEndpoints = hasHostEndpoints(view, this.#node)
      this.#revision = undefined
    }
    if (applied === undefined || applied.revision === this.#revision) return
    this.#revision = applied.revision
    // Copied: it is written later, and may be in the middle of a change then.
    this.#objects = this.#hasHostEndpoints ? [...applied.objects.values()] : []
    this.#delayed.request()
  }

  /** Writes now what waits to be written. */
  flush(): Promise<void> {
    return this.#delayed.flush()
  }

  async #write(): Promise<void> {
    const objects = this.#objects ?? []
    if (objects.length === 0) {
      await rm(this.#path, { force: true })
      this.#hash = undefined
      return
    }
    const { text, hash } = await writeScript(objects)
    // Planned anew and yet the same: not worth waiting for the disk.
    if (hash === this.#hash) return
    await replaceStateFile(this.#path, text)
    this.#hash = hash
    this.#log.debug({ path: this.#path, count: objects.length }, 'boot rules written')
  }
}

/** Also one that does not parse: its interface is closed as far as it can be told. */
function hasHostEndpoints(view: View, node: string): boolean {
  const unreadable = [...view.unreadable.values()].some(({ reach }) => reach?.of === 'host' && reach.node === node)
  return unreadable || [...view.get('HostEndpoint').values()].some(({ spec }) => spec.node === node)
}

/** The script and its hash. */
async function writeScript(objects: readonly NftObject[]): Promise<{ readonly text: string; readonly hash: string }> {
  const pace = new Pace()
  const hash = createHash('sha256')
  const parts = [HEADER]
  for (const part of nftScriptParts(objects.filter(({ name }) => !LEFT_OUT.has(name)))) {
    parts.push(part)
    hash.update(part)
    if (pace.isDue) await pace.giveWay()
  }
  return { text: parts.join(''), hash: hash.digest('hex') }
}
