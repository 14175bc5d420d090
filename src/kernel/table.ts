import type { KernelError } from '../errors.ts'
import type { TableName, TableTypes } from './objects.ts'

/** What to put (create or replace) and what to remove, by key. A key is in at most one of the two. */
export interface Delta<V> {
  readonly put: ReadonlyMap<string, V>
  /** Keys with what the kernel last held under them. */
  readonly remove: ReadonlyMap<string, V>
}

/** What the kernel refused, by key. */
export type Failures = ReadonlyMap<string, KernelError>

/** One kind of kernel object of which this host owns some. Idempotent. */
export interface KernelTable<V> {
  /** Reads back what is in the kernel and is ours, and nothing else. */
  list(signal: AbortSignal): Promise<ReadonlyMap<string, V>>
  /** Puts (create or replace) and removes (absent is success), batched as the kernel allows; gives what was refused, by key. */
  commit(delta: Delta<V>, signal: AbortSignal): Promise<Failures>
  /** Whether what the kernel holds is what we want; deep equality unless given. */
  matches?(desired: V, actual: V): boolean
}

/** Every table of one kernel (one network namespace), real or fake. */
export type KernelTables = { readonly [T in TableName]: KernelTable<TableTypes[T]> }

/** Something happened to kernel objects that was not our doing. */
export type KernelEvent =
  /** One object is now this (or gone). */
  | { readonly type: 'changed'; readonly table: TableName; readonly key: string; readonly value: TableTypes[TableName] | undefined }
  /** A table must be listed again: events were lost, or the generation is not ours. */
  | { readonly type: 'stale'; readonly table: TableName }
  /** An interface that is not ours appeared, changed or went, or its addresses did: local facts must be read again. */
  | { readonly type: 'interfaces' }

/** An interface of the host as address detection and MTU need it, ours or not. */
export interface Interface {
  readonly name: string
  readonly index: number
  /** The kind that made it (`vxlan`, `veth`, `bridge`), where there is one. */
  readonly kind: string | undefined
  readonly mac: string
  readonly mtuBytes: number
  readonly isUp: boolean
  readonly isLoopback: boolean
  /** Global-scope and link-scope addresses with their lengths, in the kernel's order. */
  readonly addresses: readonly {
    readonly address: string
    readonly scope: 'global' | 'link' | 'host' | 'site'
    readonly isDeprecated: boolean
    readonly isTentative: boolean
  }[]
  /** For a VXLAN device: VNI and UDP port. */
  readonly vxlan?: { readonly vni: number; readonly port: number }
}

/** The kernel of one network namespace: its tables, its events, and the facts that are not ours. */
export interface Kernel {
  readonly tables: KernelTables
  /** Yields events until aborted; lost ones come as `stale`. */
  events(signal: AbortSignal): AsyncIterable<KernelEvent>
  /** All interfaces with their addresses. */
  interfaces(signal: AbortSignal): Promise<readonly Interface[]>
  /** The source address and the interface that the kernel would use to reach an address, or undefined without a route. */
  routeTo(ip: string, signal: AbortSignal): Promise<{ readonly source: string; readonly link: string } | undefined>
  close(): void
}
