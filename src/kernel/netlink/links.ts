import { KernelError } from '../../errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Link, VxlanLink } from '../objects.ts'
import type { KernelTable } from '../table.ts'
import { ERRNO } from './constants.ts'
import type { NetlinkContext } from './entry-table.ts'
import { isOurName, isOurs } from './link-index.ts'
import { type LinkInfo, readLink, writeLinkDump } from './link-info.ts'
import { SLICE_MS, yieldToLoop } from './socket.ts'
import { isSameVeth, putVeth, readVeth } from './veth-link.ts'
import { generalFaults, putVxlan, removeLink } from './vxlan-link.ts'

/** What a table of links needs to know of its surroundings. */
export interface LinkTableOptions {
  readonly context: NetlinkContext
  /** Where the kernel is, if not in this process's network namespace. */
  readonly netns: string | undefined
  /** Runs `work`, which changes the link of this name: what is heard of it meanwhile is our own doing. */
  change<T>(name: string, work: () => T): T
}

/** VXLAN devices and veth pairs of ours. */
export function createLinkTable(options: LinkTableOptions): KernelTable<Link> {
  const { context } = options
  return {
    matches: isSameLink,
    async list(signal) {
      context.sync()
      const infos = await context.netlink.dump(writeLinkDump, readLink, signal)
      context.links.replace(infos)
      const found = new Map<string, Link>()
      await eachInSlices(infos.filter(isOurs), signal, (info) => {
        const link = readOwnLink(context, info)
        if (link !== undefined) found.set(link.name, link)
      })
      return found
    },
    async commit(delta, signal) {
      context.sync()
      const failures = new Map<string, KernelError>()
      const attempt = (name: string, work: () => void) => {
        try {
          options.change(name, work)
        } catch (error) {
          if (!(error instanceof KernelError)) throw error
          failures.set(name, error)
        }
      }
      await eachInSlices([...delta.put], signal, ([name, link]) => attempt(name, () => putLink(options, link)))
      await eachInSlices([...delta.remove], signal, ([name, link]) => attempt(name, () => removeOwnLink(context, link)))
      return failures
    },
  }
}

/** A device of ours as the vocabulary says it; undefined for one of a kind that we don't make. */
export function readOwnLink(context: NetlinkContext, info: LinkInfo): Link | undefined {
  if (info.kind === 'veth') return readVeth(context, info)
  if (info.vxlan === undefined) return undefined
  const faults = [...(info.isUp ? [] : ['is down']), ...generalFaults(info.vxlan)]
  const uplink = (context.links.get(info.vxlan.uplinkIndex) ?? context.links.ask(info.vxlan.uplinkIndex))?.name ?? ''
  const { name, mtuBytes, mac, vxlan } = info
  // Without a local address it equals nothing that is wanted.
  const local = vxlan.local ?? ('' as Ip)
  return { kind: 'vxlan', name, mtuBytes, mac, vni: vxlan.vni, port: vxlan.port, local, uplink, ...(faults.length > 0 && { faults }) }
}

/** Whether a link is as wanted. */
export function isSameLink(desired: Link, actual: Link): boolean {
  if (desired.kind === 'veth') return actual.kind === 'veth' && isSameVeth(desired, actual)
  return actual.kind === 'vxlan' && isSameVxlan(desired, actual)
}

function isSameVxlan(a: VxlanLink, b: VxlanLink): boolean {
  const isSameDevice = a.vni === b.vni && a.port === b.port && a.local === b.local && a.uplink === b.uplink
  return isSameDevice && a.mtuBytes === b.mtuBytes && a.mac === b.mac && (b.faults ?? []).length === 0
}

function putLink({ context, netns }: LinkTableOptions, link: Link): void {
  const existing = context.links.ask(link.name)
  if (existing !== undefined && !isOurs(existing)) {
    const kind = existing.kind ?? 'plain'
    throw new KernelError(`there is an interface ${JSON.stringify(link.name)} (${kind}) already, and it is not ours`, {
      errno: ERRNO.EEXIST,
    })
  }
  if (link.kind === 'vxlan') putVxlan(context, link, existing, netns)
  else putVeth(context, link, existing, netns)
  // So that a notice that comes later tells no news.
  context.links.ask(link.name)
}

function removeOwnLink(context: NetlinkContext, link: Link): void {
  const existing = context.links.ask(link.name)
  if (existing === undefined) return
  // The name is free for others once ours is gone.
  const isOwn = isOurs(existing) && (isOurName(existing.name) || existing.kind === link.kind)
  if (isOwn) removeLink(context, existing)
}

async function eachInSlices<T>(items: readonly T[], signal: AbortSignal, each: (item: T) => void): Promise<void> {
  let start = performance.now()
  for (const item of items) {
    each(item)
    if (performance.now() - start < SLICE_MS) continue
    await yieldToLoop()
    signal.throwIfAborted()
    start = performance.now()
  }
}
