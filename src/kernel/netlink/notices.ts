import type { TableTypes } from '../objects.ts'
import type { KernelEvent } from '../table.ts'
import { readAddress } from './addresses.ts'
import { AF_BRIDGE, RTM } from './constants.ts'
import type { EntryTable, NetlinkContext } from './entry-table.ts'
import type { EventQueue } from './event-queue.ts'
import { Held } from './held.ts'
import { isOurs } from './link-index.ts'
import { type LinkInfo, readLink } from './link-info.ts'
import { readOwnLink } from './links.ts'
import type { Message } from './message.ts'
import { NETLINK_ROUTE, NetlinkSocket } from './socket.ts'

/** Multicast groups of rtnetlink: links, neighbours, IPv4 and IPv6 addresses, routes, rules. */
const GROUPS = [1, 3, 5, 7, 8, 9, 11, 19]
/** Room for some 20,000 notices while the process is busy. */
const RECEIVE_BUFFER_BYTES = 16 << 20
/** Tables of rtnetlink and what hangs on it: all are stale when notices were lost. */
const TABLES = ['links', 'sysctls', 'addresses', 'neighbours', 'fdb', 'rules', 'routes'] as const

type NoticedTable = 'addresses' | 'neighbours' | 'fdb' | 'rules' | 'routes'
/** What the notices of one network namespace are turned into. */
export interface NoticeOptions {
  readonly netns: string | undefined
  readonly context: NetlinkContext
  readonly tables: { readonly [T in NoticedTable]: Pick<EntryTable<TableTypes[T]>, 'notice' | 'forgetLink'> }
  readonly queue: EventQueue
  /** For tests of an overrun. */
  readonly receiveBufferBytes?: number | undefined
}

/** Listens to what the kernel tells of its objects, and queues what is news and not our own doing. */
export class Notices {
  private readonly options: NoticeOptions
  private readonly socket: NetlinkSocket
  /** Addresses that are not on links of ours: a router's repeated advertisement is no news. */
  private readonly foreignAddresses = new Held<string>((a, b) => a === b)
  /** The link that we are changing now. */
  private changing: string | undefined
  private isDraining = false

  constructor(options: NoticeOptions) {
    this.options = options
    this.socket = new NetlinkSocket(NETLINK_ROUTE, {
      netns: options.netns,
      groups: GROUPS.reduce((mask, group) => mask | (1 << (group - 1)), 0),
      receiveBufferBytes: options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES,
    })
    options.context.links.onChange = (before, after) => this.noticeLink(before, after)
    this.socket.onReadable(() => this.drain())
  }

  /** Takes in all that is queued in the kernel. */
  drain(): void {
    // What is read may need a question to the kernel, after which it is drained again: the outer call goes on with the rest.
    if (this.isDraining) return
    this.isDraining = true
    try {
      this.drainOnce()
    } finally {
      this.isDraining = false
    }
  }

  private drainOnce(): void {
    const isOverrun = this.socket.drain((message) => this.dispatch(message))
    if (isOverrun) this.distrust()
    this.options.queue.flush()
  }

  /** Runs `work`, which changes this link: what is told of it meanwhile is our own doing. */
  change<T>(name: string, work: () => T): T {
    this.changing = name
    try {
      return work()
    } finally {
      this.drain()
      this.changing = undefined
    }
  }

  close(): void {
    this.socket.close()
  }

  private dispatch(message: Message): void {
    const { context, tables } = this.options
    // Senders of changes to routes, neighbours and rules are named by every kernel (Linux 5.14), so our own need no look.
    const isOwn = message.portId === context.netlink.portId
    const object = message.type - (message.type % 4)
    if (object === RTM.NEWLINK) this.takeLink(message)
    else if (object === RTM.NEWADDR) this.takeAddress(message)
    else if (object === RTM.NEWNEIGH && message.payload[0] === AF_BRIDGE) this.announce('fdb', tables.fdb.notice(message))
    else if (isOwn) return
    else if (object === RTM.NEWROUTE) this.announce('routes', tables.routes.notice(message))
    else if (object === RTM.NEWNEIGH) this.announce('neighbours', tables.neighbours.notice(message))
    else if (object === RTM.NEWRULE) this.announce('rules', tables.rules.notice(message))
  }

  private takeLink(message: Message): void {
    const { links } = this.options.context
    const link = readLink(message)
    if (link === undefined) return
    if (message.type === RTM.DELLINK) links.remove(link.index)
    else links.set(link)
  }

  private takeAddress(message: Message): void {
    const { context, tables, queue } = this.options
    const info = readAddress(message)
    if (info === undefined) return
    const link = context.links.get(info.index)
    if (link !== undefined && isOurs(link)) {
      const notice = tables.addresses.notice(message)
      this.announce('addresses', notice)
      // With the last IPv4 address of a link its routes and neighbours go, and the kernel tells of the routes to nobody (fib_flush).
      if (notice !== undefined && message.type === RTM.DELADDR)
        for (const table of ['neighbours', 'routes'] as const) queue.push({ type: 'stale', table })
      return
    }
    const state = message.type === RTM.DELADDR ? undefined : `${info.scope} ${info.isDeprecated} ${info.isTentative}`
    if (this.foreignAddresses.learn(`${info.index} ${info.address}`, state)) queue.push({ type: 'interfaces' })
  }

  private noticeLink(before: LinkInfo | undefined, after: LinkInfo | undefined): void {
    const { context, queue } = this.options
    const wasOurs = before !== undefined && isOurs(before)
    const isNowOurs = after !== undefined && isOurs(after)
    if ((before !== undefined && !wasOurs) || (after !== undefined && !isNowOurs)) queue.push({ type: 'interfaces' })
    const name = after?.name ?? before?.name
    if (name === this.changing) {
      if (before !== undefined && before.index !== after?.index) this.forgetWhatHangsOn(before.name)
      return
    }
    if (wasOurs && (!isNowOurs || after.name !== before.name)) {
      queue.push({ type: 'changed', table: 'links', key: before.name, value: undefined })
    }
    if (!isNowOurs) return
    try {
      queue.push({ type: 'changed', table: 'links', key: after.name, value: readOwnLink(context, after) })
    } catch {
      // What can't be read now (no file descriptor left) is read with the list.
      queue.push({ type: 'stale', table: 'links' })
    }
  }

  private forgetWhatHangsOn(name: string): void {
    for (const table of Object.values(this.options.tables)) table.forgetLink(name)
  }

  private announce(table: NoticedTable, notice: { readonly key: string; readonly value: KernelValue | undefined } | undefined): void {
    if (notice !== undefined) this.options.queue.push({ type: 'changed', table, key: notice.key, value: notice.value })
  }

  /** Notices were lost: nothing that we know is sure. */
  private distrust(): void {
    this.options.context.links.reload()
    for (const table of TABLES) this.options.queue.push({ type: 'stale', table })
    this.options.queue.push({ type: 'interfaces' })
  }
}

type KernelValue = NonNullable<Extract<KernelEvent, { type: 'changed' }>['value']>
