import type { NftSet } from '../kernel/objects.ts'
import { type Cidr, cidrContains, hostCidr, ipOf, isHostCidr } from '../net/cidr.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import { PrefixMap } from '../net/prefix-map.ts'
import { SharedSet } from '../net/shared-set.ts'
import type { AddressSet } from './address-set.ts'
import type { MemberChange } from './member-set.ts'
import { addressSetName, hasPorts, type Shape } from './set-names.ts'

const NO_INTERVALS = new SharedSet<string>(new Set())

/**
 * A set of the kernel with the members that a set of rules has in one family. Addresses alone are a hash, in which one more costs
 * microseconds; with a prefix among them it is a set of intervals, which takes no prefix that another one covers.
 */
export class SetContent {
  readonly set: AddressSet
  readonly #family: Family
  /** Members that are more than one address. */
  readonly #prefixes = new PrefixMap<true>()
  #prefixCount = 0
  /** Members that are one address, or an address with protocol and port. */
  #single = new SharedSet<string>(new Set())
  /** Where there are prefixes: the members that no other covers. */
  #intervals = NO_INTERVALS
  #object: NftSet | undefined

  constructor(set: AddressSet, family: Family) {
    this.set = set
    this.#family = family
  }

  get shape(): Shape {
    if (this.#isInterval) return 'intervals'
    return this.#single.size === 0 ? 'empty' : 'hash'
  }

  /** The set as it is now; the same elements give the same object. */
  get object(): NftSet {
    const elements = this.#isInterval ? this.#intervals : this.#single
    if (this.#object?.elements === elements) return this.#object
    const name = addressSetName(this.set, this.#family, this.shape)
    const key = hasPorts(this.set) ? ({ key: 'address-port' } as const) : {}
    this.#object = { kind: 'set', name, ...key, family: this.#family, isInterval: this.#isInterval, elements }
    return this.#object
  }

  /** Whether packets from or to this end match it. */
  has(ip: Ip, protocol: number, port: number | undefined): boolean {
    if (hasPorts(this.set)) return this.#single.has(`${ip},${protocol},${port}`)
    return this.#single.has(ip) || this.#prefixes.longest(ip) !== undefined
  }

  /** Takes over what came and went; the object is right when it is done. */
  *apply({ added, removed }: MemberChange): Generator<undefined, void> {
    const wasInterval = this.#isInterval
    const gone = yield* this.#sort(removed)
    const come = yield* this.#sort(added)
    for (const cidr of gone.prefixes) if (this.#prefixes.delete(cidr)) this.#prefixCount--
    for (const cidr of come.prefixes) this.#prefixes.set(cidr, true)
    this.#prefixCount += come.prefixes.length
    this.#single = yield* this.#single.changeInSteps(gone.single, come.single)
    if (!this.#isInterval) this.#intervals = NO_INTERVALS
    else if (wasInterval) yield* this.#changeIntervals([...gone.prefixes, ...come.prefixes], [...gone.single, ...come.single])
    else yield* this.#rebuild()
  }

  /** Those of this set's family, as they are kept. */
  *#sort(members: ReadonlySet<string>): Generator<undefined, { readonly single: string[]; readonly prefixes: Cidr[] }> {
    const single: string[] = []
    const prefixes: Cidr[] = []
    let count = 0
    for (const member of members) {
      if (++count % SEARCH_STEP === 0) yield
      if (familyOf(member) !== this.#family) continue
      if (hasPorts(this.set)) single.push(withoutLength(member))
      else if (isHostCidr(member as Cidr)) single.push(ipOf(member as Cidr))
      else prefixes.push(member as Cidr)
    }
    return { single, prefixes }
  }

  *#changeIntervals(prefixes: readonly Cidr[], single: readonly string[]): Generator<undefined, void> {
    if (prefixes.length > MOST_SEARCHES) return yield* this.#rebuild()
    const touched = new Set<string>([...prefixes, ...single.map((ip) => hostCidr(ip as Ip))])
    for (const outer of prefixes) {
      let count = 0
      for (const cidr of this.#members()) {
        if (cidrContains(outer, cidr)) touched.add(cidr)
        if (++count % SEARCH_STEP === 0) yield
      }
    }
    this.#intervals = this.#intervals.change(touched, (member) => this.#isVisible(member as Cidr))
  }

  get #isInterval(): boolean {
    return this.#prefixCount > 0
  }

  *#rebuild(): Generator<undefined, void> {
    const elements = new Set<string>()
    let count = 0
    for (const cidr of this.#members()) {
      if (this.#isVisible(cidr)) elements.add(cidr)
      if (++count % SEARCH_STEP === 0) yield
    }
    this.#intervals = new SharedSet(elements)
  }

  *#members(): Generator<Cidr> {
    for (const ip of this.#single) yield hostCidr(ip as Ip)
    for (const { cidr } of this.#prefixes) yield cidr
  }

  /** Whether it is a member that no other covers. */
  #isVisible(cidr: Cidr): boolean {
    if (isHostCidr(cidr)) return this.#single.has(ipOf(cidr)) && this.#prefixes.longest(ipOf(cidr)) === undefined
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
