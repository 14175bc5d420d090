import { isDeepStrictEqual } from 'node:util'
import { KernelError } from '../../errors.ts'
import { ERRNO } from './constants.ts'
import { type LinkInfo, readLink, writeLinkDump, writeLinkQuestion } from './link-info.ts'
import { isFailure, type Rtnetlink } from './rtnetlink.ts'

/** An alias that begins so marks a link as ours, whatever its name; the path of the workload's network namespace follows. */
export const ALIAS_PREFIX = 'margay netns='

/** Tunnels (`margay.vxlan`), workloads' interfaces (`mgy…`), and what we marked when we made it. */
export function isOurs(link: Pick<LinkInfo, 'name' | 'alias'>): boolean {
  return isOurName(link.name) || link.alias?.startsWith(ALIAS_PREFIX) === true
}

/** Whether the name alone says that the link is ours. */
export function isOurName(name: string): boolean {
  return name.startsWith('margay.') || name.startsWith('mgy')
}

/**
 * What devices there are, by index and by name. Kept up by events and by what we do ourselves; a name that is not known
 * is asked for, so a device is found at once when it was just made.
 */
export class LinkIndex {
  /** Told of every difference, wherever it was heard of: an event, a list, or a question in between. */
  onChange: ((before: LinkInfo | undefined, after: LinkInfo | undefined) => void) | undefined
  private readonly netlink: Rtnetlink
  private readonly byIndex = new Map<number, LinkInfo>()
  private readonly byName = new Map<string, LinkInfo>()

  constructor(netlink: Rtnetlink) {
    this.netlink = netlink
    this.reload()
  }

  /** Every known link. */
  all(): IterableIterator<LinkInfo> {
    return this.byIndex.values()
  }

  get(index: number): LinkInfo | undefined {
    return this.byIndex.get(index)
  }

  /** The link of this name as last heard of; asks the kernel if it is unknown. */
  find(name: string): LinkInfo | undefined {
    return this.byName.get(name) ?? this.ask(name)
  }

  /** The link of this name or index as the kernel has it now. */
  ask(link: string | number): LinkInfo | undefined {
    // The kernel answers a longer name with EINVAL or ERANGE; it can't be a link's.
    if (typeof link === 'string' && (link === '' || Buffer.byteLength(link) > MAX_NAME_BYTES)) return undefined
    const answer = this.netlink.ask((writer, sequence) => writeLinkQuestion(writer, sequence, link))
    const info = isFailure(answer) ? undefined : readLink(answer)
    const known = typeof link === 'string' ? this.byName.get(link) : this.byIndex.get(link)
    if (info === undefined) {
      if (known !== undefined) this.remove(known.index)
      return undefined
    }
    this.set(info)
    return info
  }

  /**
   * The index of a link.
   *
   * @throws {KernelError} with ENODEV if there is no such link
   */
  indexOf(name: string): number {
    const link = this.find(name)
    if (link !== undefined) return link.index
    throw new KernelError(`there is no interface ${JSON.stringify(name)}`, { errno: ERRNO.ENODEV })
  }

  /** Takes in what an event or a reply said. */
  set(link: LinkInfo): void {
    const namesake = this.byName.get(link.name)
    if (namesake !== undefined && namesake.index !== link.index) this.remove(namesake.index)
    const before = this.byIndex.get(link.index)
    if (before !== undefined && this.byName.get(before.name) === before) this.byName.delete(before.name)
    this.byIndex.set(link.index, link)
    this.byName.set(link.name, link)
    if (before === undefined || !isSameLink(before, link)) this.onChange?.(before, link)
  }

  remove(index: number): void {
    const before = this.byIndex.get(index)
    if (before === undefined) return
    this.byIndex.delete(index)
    if (this.byName.get(before.name) === before) this.byName.delete(before.name)
    this.onChange?.(before, undefined)
  }

  /** Takes in a complete list. */
  replace(links: readonly LinkInfo[]): void {
    const present = new Set(links.map(({ index }) => index))
    for (const index of [...this.byIndex.keys()]) if (!present.has(index)) this.remove(index)
    for (const link of links) this.set(link)
  }

  /** Reads all links anew: after lost events. */
  reload(): void {
    this.replace(this.netlink.dumpNow(writeLinkDump, readLink))
  }
}

/** IFNAMSIZ less the terminating zero. */
const MAX_NAME_BYTES = 15

/** Counters and the state of the carrier are no difference. */
function isSameLink(a: LinkInfo, b: LinkInfo): boolean {
  const { flags: _a, ...before } = a
  const { flags: _b, ...after } = b
  return isDeepStrictEqual(before, after)
}
