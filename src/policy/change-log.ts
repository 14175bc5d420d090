import type { MemberChange } from './member-set.ts'

/** What of that which decides about packets is otherwise than before. */
export interface PolicyChanges {
  /** Anything may be: nothing else is told then. */
  readonly isAll: boolean
  /** Addresses and prefixes of workloads of this host whose rules are others, or that came or went. */
  readonly networks: ReadonlySet<string>
  /** What came into sets that rules named before, and what left them, by the id of the set. */
  readonly members: ReadonlyMap<string, MemberChange>
}

/** With more than this, looking at what is concerned costs as much as looking at everything. */
const MOST = 4096

export const EVERYTHING: PolicyChanges = { isAll: true, networks: new Set(), members: new Map() }

/** Collects what changes until somebody takes it; who takes it for the first time must look at everything. */
export class ChangeLog {
  #isAll = true
  #count = 0
  #networks = new Set<string>()
  #members = new Map<string, { readonly added: Set<string>; readonly removed: Set<string> }>()

  noteAll(): void {
    this.#isAll = true
    this.#count = 0
    this.#networks = new Set()
    this.#members = new Map()
  }

  noteNetworks(networks: readonly string[]): void {
    if (!this.#hasRoom(networks.length)) return
    for (const network of networks) this.#networks.add(network)
  }

  noteMembers(set: string, { added, removed }: MemberChange): void {
    if (!this.#hasRoom(added.size + removed.size)) return
    const noted = this.#members.get(set) ?? { added: new Set(), removed: new Set() }
    this.#members.set(set, noted)
    for (const member of added) noted.added.add(member)
    for (const member of removed) noted.removed.add(member)
  }

  /** What changed since the last time. */
  take(): PolicyChanges {
    const taken = this.#isAll ? EVERYTHING : { isAll: false, networks: this.#networks, members: this.#members }
    this.noteAll()
    this.#isAll = false
    return taken
  }

  #hasRoom(more: number): boolean {
    if (this.#isAll) return false
    this.#count += more
    if (this.#count > MOST) this.noteAll()
    return !this.#isAll
  }
}
