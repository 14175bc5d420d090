import type { NftSet } from '../kernel/objects.ts'
import { type Cidr, cidrContains, ipOf, isHostCidr } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import { PrefixMap } from '../net/prefix-map.ts'
import { SharedSet } from '../net/shared-set.ts'
import type { AddressSet } from './address-set.ts'
import type { MemberChange } from './member-set.ts'
import { addressSetName, hasPorts, type Shape } from './set-names.ts'

/**
 * A set of the kernel with the members that a set of rules has in one family. Addresses alone are a hash, in which one more costs
 * microseconds; with a prefix among them it is a set of intervals, which takes no prefix that another one covers.
 */
export class SetContent {
  readonly set: AddressSet
  readonly #family: Family
  readonly #prefixes = new PrefixMap<true>()
  /** How many members are more than one address. */
  #wide = 0
  #elements = new SharedSet<string>(new Set())
  #object: NftSet | undefined

  constructor(set: AddressSet, family: Family) {
    this.set = set
    this.#family = family
  }

  get shape(): Shape {
    if (this.#elements.size === 0) return 'empty'
    return this.#isInterval ? 'intervals' : 'hash'
  }

  /** The set as it is now; the same elements give the same object. */
  get object(): NftSet {
    if (this.#object?.elements === this.#elements) return this.#object
    const name = addressSetName(this.set, this.#family, this.shape)
    const key = hasPorts(this.set) ? ({ key: 'address-port' } as const) : {}
    this.#object = { kind: 'set', name, ...key, family: this.#family, isInterval: this.#isInterval, elements: this.#elements }
    return this.#object
  }

  /** Whether packets from or to this end match it. */
  has(ip: Ip, protocol: number, port: number | undefined): boolean {
    if (hasPorts(this.set)) return this.#elements.has(`${ip},${protocol},${port}`)
    return this.#isInterval ? this.#prefixes.longest(ip) !== undefined : this.#elements.has(ip)
  }

  /** Takes over what came and went; the object is right when it is done. */
  *apply({ added, removed }: MemberChange): Generator<undefined, void> {
    const own = (members: ReadonlySet<string>) => [...members].filter((member) => familyOf(member) === this.#family)
    if (hasPorts(this.set)) this.#replace(own(removed).map(withoutLength), own(added).map(withoutLength))
    else yield* this.#applyPrefixes(own(added) as Cidr[], own(removed) as Cidr[])
  }

  #replace(removed: readonly string[], added: readonly string[]): void {
    const isIn = new Set(added)
    this.#elements = this.#elements.change([...removed, ...added], (member) => isIn.has(member))
  }

  *#applyPrefixes(added: readonly Cidr[], removed: readonly Cidr[]): Generator<undefined, void> {
    const wasInterval = this.#isInterval
    for (const cidr of removed) {
      this.#prefixes.delete(cidr)
      if (!isHostCidr(cidr)) this.#wide--
    }
    for (const cidr of added) {
      this.#prefixes.set(cidr, true)
      if (!isHostCidr(cidr)) this.#wide++
    }
    if (wasInterval !== this.#isInterval) return yield* this.#rebuild()
    if (!this.#isInterval) return this.#replace(removed.map(ipOf), added.map(ipOf))
    const wide = [...added, ...removed].filter((cidr) => !isHostCidr(cidr))
    if (wide.length > MOST_SEARCHES) return yield* this.#rebuild()
    const touched = new Set<string>([...added, ...removed])
    for (const outer of wide) {
      let count = 0
      for (const { cidr } of this.#prefixes) {
        if (cidrContains(outer, cidr)) touched.add(cidr)
        if (++count % SEARCH_STEP === 0) yield
      }
    }
    this.#elements = this.#elements.change(touched, (member) => this.#isVisible(member as Cidr))
  }

  get #isInterval(): boolean {
    return this.#wide > 0
  }

  *#rebuild(): Generator<undefined, void> {
    const elements = new Set<string>()
    let count = 0
    for (const { cidr } of this.#prefixes) {
      if (!this.#isInterval) elements.add(ipOf(cidr))
      else if (this.#isVisible(cidr)) elements.add(cidr)
      if (++count % SEARCH_STEP === 0) yield
    }
    this.#elements = new SharedSet(elements)
  }

  /** Whether it is a member that no other covers. */
  #isVisible(cidr: Cidr): boolean {
    return this.#prefixes.get(cidr) === true && this.#prefixes.covering(cidr).length === 1
  }
}

/** With more prefixes that change at once, all are looked at once instead of once for each. */
const MOST_SEARCHES = 8
const SEARCH_STEP = 128

/** `10.65.0.2/32,6,8080` as the kernel has it. */
function withoutLength(member: string): string {
  return member.replace(/\/\d+,/, ',')
}
