import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts'
import type { Cidr } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf } from '../net/ip.ts'
import { SharedSet } from '../net/shared-set.ts'
import { addressProblem, workloadAddresses } from './addresses.ts'
import { allowedSources, spoofingProblem } from './anti-spoofing.ts'

type Spoofing = Pick<FelixConfigurationSpec, 'workloadSourceSpoofing'>

/**
 * From which interface, MAC and address the workloads of a host send, kept up endpoint by endpoint: with a thousand of them a change costs
 * one. It can be rebuilt from the records at any time with the same result. An endpoint that is not in order is not in it.
 */
export class SenderIndex {
  readonly addresses: Readonly<Record<Family, Counted>> = { 4: new Counted(), 6: new Counted() }
  readonly macs = new Counted()
  readonly addressesWithoutMac: Readonly<Record<Family, Counted>> = { 4: new Counted(), 6: new Counted() }
  readonly linksWithoutMac = new Counted()
  readonly #endpoints = new Map<string, WorkloadEndpoint>()
  readonly #spoofing = new Set<string>()
  #felix: Spoofing = {}

  /** Takes over an endpoint of this host as it is now; undefined: it is gone. */
  set(id: string, endpoint: WorkloadEndpoint | undefined): void {
    const before = this.#endpoints.get(id)
    if (before === endpoint) return
    if (before !== undefined) this.#count(before, -1)
    if (endpoint === undefined) this.#endpoints.delete(id)
    else this.#endpoints.set(id, endpoint)
    if (endpoint !== undefined) this.#count(endpoint, 1)
    if ((endpoint?.spec.allowSpoofedSourcePrefixes ?? []).length > 0) this.#spoofing.add(id)
    else this.#spoofing.delete(id)
  }

  /** Takes over whether records may allow foreign sources. */
  use(felix: Spoofing): void {
    if (felix.workloadSourceSpoofing === this.#felix.workloadSourceSpoofing) return
    const affected = [...this.#spoofing].flatMap((id) => this.#endpoints.get(id) ?? [])
    for (const endpoint of affected) this.#count(endpoint, -1)
    this.#felix = { workloadSourceSpoofing: felix.workloadSourceSpoofing }
    for (const endpoint of affected) this.#count(endpoint, 1)
  }

  /** What is sent from where now; of sets the same object until one comes or goes, and never changed afterwards. */
  senders() {
    const byFamily = (counted: Readonly<Record<Family, Counted>>) => ({ 4: counted[4].members(), 6: counted[6].members() })
    return {
      addresses: byFamily(this.addresses),
      macs: this.macs.members(),
      addressesWithoutMac: byFamily(this.addressesWithoutMac),
      linksWithoutMac: this.linksWithoutMac.members(),
      prefixes: this.#prefixes(),
    }
  }

  #prefixes(): ReadonlyMap<string, readonly Cidr[]> {
    const prefixes = new Map<string, readonly Cidr[]>()
    for (const id of [...this.#spoofing].sort()) {
      const endpoint = this.#endpoints.get(id)
      if (endpoint === undefined || this.#problem(endpoint) !== undefined) continue
      const { link } = allowedSources(endpoint, 4)
      const more = FAMILIES.flatMap((family) => allowedSources(endpoint, family).spoofed)
      prefixes.set(link, [...(prefixes.get(link) ?? []), ...more])
    }
    return prefixes
  }

  #problem(endpoint: WorkloadEndpoint): string | undefined {
    return addressProblem(endpoint) ?? spoofingProblem(endpoint, this.#felix)
  }

  #count(endpoint: WorkloadEndpoint, step: 1 | -1): void {
    const { interfaceName: link = '', mac } = endpoint.spec
    if (link === '' || this.#problem(endpoint) !== undefined) return
    for (const ip of workloadAddresses(endpoint)) {
      const family = familyOf(ip)
      if (mac === undefined) this.addressesWithoutMac[family].count(`${link},${ip}`, step)
      else this.addresses[family].count(`${link},${mac},${ip}`, step)
    }
    if (mac === undefined) this.linksWithoutMac.count(link, step)
    else this.macs.count(`${link},${mac}`, step)
  }
}

/** Members that count how often they came; as a set that shares its members with the one before. */
class Counted {
  readonly #counts = new Map<string, number>()
  readonly #touched = new Set<string>()
  #members = new SharedSet<string>(new Set())

  count(member: string, step: 1 | -1): void {
    const count = (this.#counts.get(member) ?? 0) + step
    if (count === 0) this.#counts.delete(member)
    else this.#counts.set(member, count)
    this.#touched.add(member)
  }

  members(): ReadonlySet<string> {
    const changed = [...this.#touched].filter((member) => this.#counts.has(member) !== this.#members.has(member))
    if (changed.length > 0) this.#members = this.#members.change(changed, (member) => this.#counts.has(member))
    this.#touched.clear()
    return this.#members
  }
}
