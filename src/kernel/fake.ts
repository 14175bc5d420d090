import { isDeepStrictEqual } from 'node:util'
import { KernelError } from '../errors.ts'
import { EventQueue } from './netlink/event-queue.ts'
import { APPLY_ORDER, emptyTables, keyOf, type Link, RULE_PRIORITIES, type TableName, type TableTypes } from './objects.ts'
import type { Delta, Failures, Interface, Kernel, KernelEvent, KernelTable, KernelTables } from './table.ts'

const ENODEV = 19
const EINVAL = 22
const ENOENT = 2
/** Tables whose entries go with their link. */
const ON_LINKS = ['sysctls', 'addresses', 'neighbours', 'fdb', 'routes'] as const satisfies readonly TableName[]

/**
 * A kernel in memory that behaves as the real one where it matters: what needs a link is refused without it, a link that is
 * removed or made anew takes along what hangs on it, own changes make no events, others' do.
 */
export class FakeKernel implements Kernel {
  readonly tables: KernelTables
  private readonly contents: { readonly [T in TableName]: Map<string, TableTypes[T]> }
  private readonly refusals = new Map<string, KernelError>()
  private readonly namespaces = new Set<string>()
  private readonly queue = new EventQueue()
  private present: Interface[]
  /** How many commits reached each table, for tests of cost. */
  readonly commits: { [T in TableName]: number } = zeros()
  readonly lists: { [T in TableName]: number } = zeros()

  constructor(interfaces: readonly Interface[] = []) {
    this.present = [...interfaces]
    this.contents = emptyTables()
    this.tables = {
      policy: this.table('policy'),
      links: this.table('links', isSameLink),
      sysctls: this.table('sysctls'),
      addresses: this.table('addresses'),
      neighbours: this.table('neighbours'),
      fdb: this.table('fdb'),
      rules: this.table('rules'),
      routes: this.table('routes', (a, b) =>
        isDeepStrictEqual({ ...a, isOnlink: a.isOnlink ?? false }, { ...b, isOnlink: b.isOnlink ?? false }),
      ),
    }
  }

  events(signal: AbortSignal): AsyncIterable<KernelEvent> {
    return this.queue.read(signal)
  }

  async interfaces(): Promise<readonly Interface[]> {
    return this.present
  }

  async routeTo(ip: string): Promise<{ source: string; link: string } | undefined> {
    const family = ip.includes(':')
    for (const { name, addresses } of this.present) {
      const own = addresses.find(({ address, scope }) => scope === 'global' && address.includes(':') === family)
      if (own !== undefined) return { source: own.address.slice(0, own.address.indexOf('/')), link: name }
    }
    return undefined
  }

  close(): void {
    this.queue.close()
  }

  /** The interfaces that are not ours change; routes over those that went are dropped without a word. */
  setInterfaces(interfaces: readonly Interface[]): void {
    const names = new Set(interfaces.map(({ name }) => name))
    for (const { name } of this.present) if (!names.has(name)) this.dropWhatHangsOn(name)
    this.present = [...interfaces]
    this.emit({ type: 'interfaces' })
  }

  /** A network namespace comes to stand at this path. */
  addNetns(path: string): void {
    this.namespaces.add(path)
  }

  /** The namespace ends, and with it the links into it. */
  removeNetns(path: string): void {
    this.namespaces.delete(path)
    for (const link of this.contents.links.values()) {
      if (link.kind === 'veth' && link.peer.netns === path) this.removeByOthers('links', link.name)
    }
  }

  /** The next commits of this key fail, until `allow`. */
  refuse(table: TableName, key: string, error: KernelError): void {
    this.refusals.set(`${table} ${key}`, error)
  }

  allow(table: TableName, key: string): void {
    this.refusals.delete(`${table} ${key}`)
  }

  /** Somebody else puts an object that counts as ours. */
  putByOthers<T extends TableName>(table: T, value: TableTypes[T]): void {
    const key = keyOf[table](value)
    this.contents[table].set(key, value)
    this.emit({ type: 'changed', table, key, value })
  }

  /** Somebody else removes an object of ours; with a link goes what hangs on it. */
  removeByOthers(table: TableName, key: string): void {
    if (!this.contents[table].delete(key)) return
    if (table === 'links') this.dropWhatHangsOn(key)
    this.emit({ type: 'changed', table, key, value: undefined })
  }

  /** Notices were lost. */
  loseEvents(): void {
    for (const table of APPLY_ORDER) this.emit({ type: 'stale', table })
  }

  emit(event: KernelEvent): void {
    this.queue.push(event)
    this.queue.flush()
  }

  /** What is in a table now. */
  read<T extends TableName>(table: T): ReadonlyMap<string, TableTypes[T]> {
    return this.contents[table]
  }

  private table<T extends TableName>(
    name: T,
    matches: KernelTable<TableTypes[T]>['matches'] = isDeepStrictEqual,
  ): KernelTable<TableTypes[T]> {
    return {
      matches,
      list: async () => {
        this.lists[name]++
        return new Map(this.contents[name])
      },
      commit: async (delta) => this.commit(name, delta),
    }
  }

  private commit<T extends TableName>(table: T, delta: Delta<TableTypes[T]>): Failures {
    this.commits[table]++
    const failures = new Map<string, KernelError>()
    for (const [key, value] of delta.put) {
      const reason = this.refusals.get(`${table} ${key}`) ?? this.reasonAgainst(table, value)
      if (reason !== undefined) failures.set(key, reason)
      else this.put(table, key, value)
    }
    for (const key of delta.remove.keys()) {
      const reason = this.refusals.get(`${table} ${key}`)
      if (reason !== undefined) failures.set(key, reason)
      else if (this.contents[table].delete(key) && table === 'links') this.dropWhatHangsOn(key)
    }
    return failures
  }

  private put<T extends TableName>(table: T, key: string, value: TableTypes[T]): void {
    if (table === 'links' && needsNewDevice(this.contents.links.get(key), value as Link)) this.dropWhatHangsOn(key)
    this.contents[table].set(key, value)
  }

  private reasonAgainst<T extends TableName>(table: T, value: TableTypes[T]): KernelError | undefined {
    if (table === 'links') return this.reasonAgainstLink(value as Link)
    if (table === 'sysctls') return undefined
    if (table === 'rules') return reasonAgainstRule(value as TableTypes['rules'])
    if ('link' in value && value.link !== undefined) return this.hasLink(value.link) ? undefined : missing(value.link)
    if (table !== 'routes' || (value as TableTypes['routes']).type !== 'unicast') return undefined
    return new KernelError(`the route to ${(value as TableTypes['routes']).destination} names no interface`, { errno: EINVAL })
  }

  private reasonAgainstLink(link: Link): KernelError | undefined {
    if (link.kind === 'vxlan') {
      if (this.hasLink(link.uplink)) return undefined
      return new KernelError(`could not make ${link.name}: its uplink ${JSON.stringify(link.uplink)} is not there`, { errno: ENODEV })
    }
    if (this.namespaces.has(link.peer.netns)) return undefined
    return new KernelError(`there is no network namespace at ${JSON.stringify(link.peer.netns)}`, { errno: ENOENT })
  }

  private hasLink(name: string): boolean {
    return this.contents.links.has(name) || this.present.some((one) => one.name === name)
  }

  private dropWhatHangsOn(link: string): void {
    for (const table of ON_LINKS) {
      for (const [key, value] of this.contents[table]) {
        const isOnIt = 'link' in value ? value.link === link : 'key' in value && value.key.split('/').includes(link)
        if (isOnIt) this.contents[table].delete(key)
      }
    }
  }
}

function zeros(): { [T in TableName]: number } {
  return { policy: 0, links: 0, sysctls: 0, addresses: 0, neighbours: 0, fdb: 0, rules: 0, routes: 0 }
}

function missing(link: string): KernelError {
  return new KernelError(`there is no interface ${JSON.stringify(link)}`, { errno: ENODEV })
}

function reasonAgainstRule({ priority }: TableTypes['rules']): KernelError | undefined {
  const { first, last } = RULE_PRIORITIES
  if (priority >= first && priority <= last) return undefined
  return new KernelError(`the rule priority ${priority} is not ours: ${first} to ${last}`, { errno: EINVAL })
}

/** MTU and MAC, and all inside a workload, change in place. */
function needsNewDevice(before: Link | undefined, after: Link): boolean {
  if (before === undefined || before.kind !== after.kind) return true
  if (before.kind === 'veth') return after.kind === 'veth' && before.peer.netns !== after.peer.netns
  if (after.kind !== 'vxlan') return true
  return before.vni !== after.vni || before.port !== after.port || before.local !== after.local || before.uplink !== after.uplink
}

function isSameLink(a: Link, b: Link): boolean {
  if (a.kind !== 'veth' || b.kind !== 'veth') return isDeepStrictEqual(a, b)
  const sorted = ({ peer, ...link }: typeof a) => ({
    ...link,
    peer: { ...peer, mac: a.peer.mac && peer.mac, addresses: [...peer.addresses].sort(), gateways: [...peer.gateways].sort() },
  })
  return isDeepStrictEqual(sorted(a), sorted(b))
}
