import { FAMILIES, type Family, type Ip } from '../net/ip.ts'
import { SharedSet } from '../net/shared-set.ts'
import type { Peer } from './driver.ts'

/**
 * Which hosts claim a tunnel address, a tunnel MAC or an underlay address, so that a host's record that changes is compared with
 * those that claim the same, not with all. It can be rebuilt from the Node records at any time with the same result.
 */
export class VtepIndex {
  readonly #claims = new Map<string, readonly string[]>()
  readonly #peers = new Map<string, Peer>()
  readonly #hosts = new Map<Ip, number>()
  /** What `#hosts` counts, by family, as it was last asked for; `#touched` came or went since. */
  readonly #hostSets: Record<Family, SharedSet<Ip>> = { 4: new SharedSet(new Set()), 6: new SharedSet(new Set()) }
  readonly #touched: Readonly<Record<Family, Set<Ip>>> = { 4: new Set(), 6: new Set() }

  /** How often each underlay address is claimed. */
  get hosts(): ReadonlyMap<Ip, number> {
    return this.#hosts
  }

  /** The underlay addresses of one family: the same object until one comes or goes, and never changed afterwards. */
  hostSet(family: Family): ReadonlySet<Ip> {
    const touched = this.#touched[family]
    if (touched.size > 0) this.#hostSets[family] = this.#hostSets[family].change(touched, (ip) => this.#hosts.has(ip))
    touched.clear()
    return this.#hostSets[family]
  }

  /** All hosts that are known, by name, ourselves included. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers
  }

  /**
   * Takes over what a host's record says now (undefined: the record is gone). Gives the hosts whose conflicts may be different from
   * before (the host itself not among them), and whether the set of underlay addresses is.
   */
  set(node: string, peer: Peer | undefined): { readonly affected: ReadonlySet<string>; readonly areHostsChanged: boolean } {
    const before = this.#peers.get(node)
    const affected = new Set<string>()
    const [old, now] = [claimsOf(before), claimsOf(peer)]
    for (const claim of old) if (!now.includes(claim)) this.#unclaim(claim, node, affected)
    for (const claim of now) if (!old.includes(claim)) this.#claim(claim, node, affected)
    if (peer === undefined) this.#peers.delete(node)
    else this.#peers.set(node, peer)
    affected.delete(node)
    return { affected, areHostsChanged: this.#countHosts(before, peer) }
  }

  /**
   * Why a host's VTEP of one family must not be used: another host, first by name, has the same address or MAC.
   * This host itself always stays in its own eyes: the kernel takes its own address and MAC for itself.
   */
  conflictOf(node: string, family: Family, own: string): string | undefined {
    const vtep = this.#peers.get(node)?.vtep[family]
    if (vtep === undefined || node === own) return undefined
    const facts: readonly (readonly [string, string])[] = [
      [ipClaim(vtep.ip), `tunnel address ${vtep.ip}`],
      [macClaim(family, vtep.mac), `tunnel MAC ${vtep.mac}`],
    ]
    for (const [claim, what] of facts) {
      const claimants = this.#claims.get(claim) ?? []
      if (claimants.length < 2) continue
      const holder = claimants.includes(own) ? own : claimants[0]
      if (holder !== undefined && holder !== node) return `its ${what} is also that of ${holder}, which has it first`
    }
    return undefined
  }

  /** The other hosts that claim our own tunnel address or MAC. */
  rivalsOf(own: string): readonly string[] {
    const claims = claimsOf(this.#peers.get(own))
    return [...new Set(claims.flatMap((claim) => this.#claims.get(claim) ?? []))].filter((node) => node !== own).sort()
  }

  #claim(claim: string, node: string, affected: Set<string>): void {
    const others = this.#claims.get(claim)
    this.#claims.set(claim, others === undefined ? [node] : [...others, node].sort())
    for (const other of others ?? []) affected.add(other)
  }

  #unclaim(claim: string, node: string, affected: Set<string>): void {
    const left = (this.#claims.get(claim) ?? []).filter((other) => other !== node)
    if (left.length === 0) this.#claims.delete(claim)
    else this.#claims.set(claim, left)
    for (const other of left) affected.add(other)
  }

  #countHosts(before: Peer | undefined, after: Peer | undefined): boolean {
    let isChanged = false
    for (const family of FAMILIES) {
      const [old, now] = [before?.underlay[family], after?.underlay[family]]
      if (old === now) continue
      const isLast = old !== undefined && this.#count(old, -1) === 0
      const isFirst = now !== undefined && this.#count(now, 1) === 1
      if (isLast) this.#touched[family].add(old)
      if (isFirst) this.#touched[family].add(now)
      isChanged ||= isLast || isFirst
    }
    return isChanged
  }

  #count(ip: Ip, step: 1 | -1): number {
    const count = (this.#hosts.get(ip) ?? 0) + step
    if (count === 0) this.#hosts.delete(ip)
    else this.#hosts.set(ip, count)
    return count
  }
}

function claimsOf(peer: Peer | undefined): readonly string[] {
  if (peer === undefined) return []
  return FAMILIES.flatMap((family) => {
    const vtep = peer.vtep[family]
    return vtep === undefined ? [] : [ipClaim(vtep.ip), macClaim(family, vtep.mac)]
  })
}

function ipClaim(ip: string): string {
  return `ip ${ip}`
}

/** The two devices have FDBs of their own: the same MAC on both is no conflict. */
function macClaim(family: Family, mac: string): string {
  return `mac${family} ${mac}`
}
