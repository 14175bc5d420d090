import { MargayError } from '../errors.ts'
import { Pace } from '../kernel/pace.ts'
import type { Interface, Kernel } from '../kernel/table.ts'
import type { AnyResource } from '../model/kinds.ts'
import { isAlike, type ResourceChange } from '../model/own/questions.ts'
import { ipOf, parseInterfaceAddress } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { type ResourceMaps, readPoliciesInSteps } from '../policy/explain-host.ts'
import type { EtcdUse } from '../policy/implicit.ts'
import type { KnownInterfaces } from '../policy/known-interfaces.ts'
import type { Policy, PolicyResource } from '../policy/policies.ts'
import type { Compared } from '../questions/endpoint-changes.ts'
import { createExplainSource, type ExplainSource } from '../questions/known-host.ts'
import { withChanges } from '../questions/overlay.ts'
import { type HostPolicies, policeHost } from '../questions/policed-host.ts'
import type { Revocation } from '../questions/tolerated.ts'
import type { HostFacts } from './host-facts.ts'
import { paced } from './paced.ts'

/** What a host answers questions from. */
export interface AskedParts {
  readonly node: string
  readonly kernel: Pick<Kernel, 'routeTo' | 'interfaces'>
  /** The view as it is now; undefined before there is one. */
  readonly view: () => ResourceMaps | undefined
  /** What was last read of this host. */
  readonly facts: () => Pick<HostFacts, 'underlay'> | undefined
  /** Where etcd is, if that is known. */
  readonly etcd?: () => EtcdUse
  /** Why workloads are closed whose rules the kernel does not take, by their interfaces. */
  readonly refused?: () => ReadonlyMap<string, string>
  /** Whether open connections are ended; without it they are. */
  readonly revocation?: () => Revocation
  /** The trials of policy that are in force here. */
  readonly trials?: () => readonly TrialInForce[]
}

/** A trial that decides about packets of this host now. */
export interface TrialInForce {
  readonly id: string
  readonly changes: readonly ResourceChange[]
}

/** A host before and after changes, with where rules are looked up. */
export interface ComparedHost {
  readonly policies: Compared<HostPolicies>
  readonly sources: Compared<ExplainSource>
  /** The changes without those that change nothing. */
  readonly changes: readonly ResourceChange[]
}

/** This host as whoever asks it sees it: its policies in the view, and its real interfaces and routes. */
export class AskedHost {
  readonly #parts: AskedParts
  /** What was read of a policy, as long as the view has that one. */
  readonly #policies = new WeakMap<PolicyResource, Policy>()
  #interfaces: readonly Interface[] = []

  constructor(parts: AskedParts) {
    this.#parts = parts
  }

  get node(): string {
    return this.#parts.node
  }

  /** What becomes here of open connections that a change denies. */
  get revocation(): Revocation {
    return this.#parts.revocation?.() ?? { isWanted: true, hasTrial: false }
  }

  /** The trials of policy that are in force here. */
  get trials(): readonly TrialInForce[] {
    return this.#parts.trials?.() ?? []
  }

  /** @throws {MargayError} `not-ready` before anything is known */
  get maps(): ResourceMaps {
    const maps = this.#parts.view()
    if (maps === undefined) throw new MargayError('not-ready', 'this host has no view of etcd yet')
    return maps
  }

  /** Looks at the interfaces as they are now: to be called first for each question. */
  async look(signal: AbortSignal): Promise<void> {
    this.#interfaces = await this.#parts.kernel.interfaces(signal)
  }

  /** The interfaces of this host with their addresses. */
  get interfaces(): KnownInterfaces {
    const interfaces = this.#interfaces.map(({ name, addresses }) => ({
      name,
      addresses: addresses.map(({ address }) => ipOf(parseInterfaceAddress(address))),
    }))
    const { 4: v4, 6: v6 } = this.#parts.facts()?.underlay ?? {}
    return { interfaces, uplink: (v4 ?? v6)?.uplink ?? '', assumption: undefined }
  }

  /** What an explanation of this host is made of. */
  async source(maps: ResourceMaps, signal: AbortSignal): Promise<ExplainSource> {
    const read = await paced(readPoliciesInSteps(maps, this.#policies), signal)
    const { etcd, refused } = this.#parts
    const own = { node: this.node, known: this.interfaces, ...(etcd && { etcd: etcd() }), ...(refused && { refused: refused() }) }
    return createExplainSource(maps, own, read)
  }

  /** This host with these changes and without them, for packets between these addresses. */
  async compare(changes: readonly ResourceChange[], addresses: readonly Ip[], signal: AbortSignal): Promise<ComparedHost> {
    const { maps } = this
    const real = changes.filter((change) => isReal(maps, change))
    const before = await this.source(maps, signal)
    const after = real.length === 0 ? before : await this.source(withChanges(maps, real), signal)
    const policed = await paced(policeHost(before, this.node, addresses), signal)
    const changed = real.length === 0 ? policed : await paced(policeHost(after, this.node, addresses), signal)
    return { policies: { before: policed, after: changed }, sources: { before, after }, changes: real }
  }

  /** The interface by which each address is reached; absent where there is no route. */
  async linksTo(addresses: Iterable<Ip>, signal: AbortSignal): Promise<ReadonlyMap<Ip, string>> {
    const links = new Map<Ip, string>()
    const pace = new Pace()
    for (const ip of new Set(addresses)) {
      const route = await this.#parts.kernel.routeTo(ip, signal)
      if (route !== undefined) links.set(ip, route.link)
      if (pace.isDue) await pace.giveWay()
    }
    return links
  }

  /** What an interface carries, in bytes; undefined for one that is not there. */
  mtuOf(name: string): number | undefined {
    return this.#interfaces.find((one) => one.name === name)?.mtuBytes
  }

  /** The addresses of the host itself. */
  get addresses(): ReadonlySet<Ip> {
    return new Set(this.interfaces.interfaces.flatMap(({ addresses }) => addresses.map((ip) => parseIp(ip))))
  }
}

function isReal(maps: ResourceMaps, { kind, id, resource }: ResourceChange): boolean {
  const stored = maps.get(kind).get(id)
  if (stored === undefined || resource === undefined) return stored !== resource
  return !isAlike(stored as AnyResource, resource)
}
