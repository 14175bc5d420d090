import type { Config } from '../config.ts'
import { ConflictError, describeError } from '../errors.ts'
import type { Ipam } from '../ipam/ipam.ts'
import type { Logger } from '../log.ts'
import type { Node } from '../model/node.ts'
import { ipOf, parseInterfaceAddress } from '../net/cidr.ts'
import { FAMILIES, type Family, type Ip } from '../net/ip.ts'
import { createResource, getResource, updateResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import type { View } from '../store/view.ts'
import type { HostFacts } from './host-facts.ts'
import { nodeRecord } from './node-record.ts'
import { pause, Wake } from './wake.ts'

/** What the record of this host is made from, as it is known now. */
export interface Registration {
  readonly view: View
  readonly facts: HostFacts
  /** A pool's mode was changed a short while ago: tunnel addresses that are no longer needed are kept a little longer. */
  readonly isSettling: boolean
}

/** Writes what this host has to say of itself: its Node record and its tunnel addresses. Level-triggered: `poke` when something changed. */
export class Registrar {
  readonly #store: Store
  readonly #ipam: Ipam
  readonly #config: () => Config
  readonly #log: Logger
  readonly #wake = new Wake()
  #current: Registration | undefined
  /** What the tunnel addresses were last made sure for; looking after them costs several reads of the store. */
  #tunnelsFor = ''
  #tunnel: TunnelAddresses = {}
  #problem: string | undefined

  constructor(parts: { store: Store; ipam: Ipam; config: () => Config; log: Logger }) {
    this.#store = parts.store
    this.#ipam = parts.ipam
    this.#config = parts.config
    this.#log = parts.log
  }

  /** Why the record could not be written; undefined when it is as it should be. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** What is known now; looked at as soon as the last writing is over. */
  poke(registration: Registration): void {
    this.#current = registration
    this.#wake.set()
  }

  /** Runs until the signal aborts; a store that is away is tried again each second. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wake.wait(signal)
      if (signal.aborted || this.#current === undefined) continue
      try {
        await this.#write(this.#current, signal)
        this.#problem = undefined
      } catch (error) {
        if (signal.aborted) return
        const problem = describeError(error)
        if (problem !== this.#problem) this.#log.warn({ err: error }, 'Node record could not be brought up to date, trying again')
        this.#problem = problem
        this.#wake.set()
        await pause(1000, signal)
      }
    }
  }

  async #write(registration: Registration, signal: AbortSignal): Promise<void> {
    const { view, facts } = registration
    const { name } = this.#config().node
    const shown = view.get('Node').get(name)
    if (this.#tunnelsFor === '') this.#tunnel = tunnelsOf(shown)
    if (shown === undefined) await this.#writeNode(facts, undefined, signal)
    // A tunnel address that can't be had must not keep the host's own address from being known.
    const failure = await this.#ensureTunnels(registration, shown, signal).then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    if (nodeRecord(shown, this.#recordFacts(facts)) !== undefined) await this.#writeNode(facts, shown, signal)
    if (failure !== undefined) throw failure.error
  }

  /** Written over what the store has now, not over what the view shows: the view may be a step behind. */
  async #writeNode(facts: HostFacts, shown: Node | undefined, signal: AbortSignal): Promise<void> {
    const { name } = this.#config().node
    const stored = await getResource(this.#store, { kind: 'Node', name }, signal)
    const wanted = nodeRecord(stored, this.#recordFacts(facts))
    if (wanted === undefined) return
    try {
      if (stored === undefined) await createResource(this.#store, wanted, signal)
      else await updateResource(this.#store, wanted, signal)
      this.#log.info(
        { node: name, address: Object.values(facts.address).join(' ') },
        shown === undefined ? 'node registered' : 'node record updated',
      )
    } catch (error) {
      // Somebody else was faster: the change comes by the view, and this is looked at again.
      if (!(error instanceof ConflictError)) throw error
      this.#wake.set()
    }
  }

  async #ensureTunnels({ view, facts, isSettling }: Registration, node: Node | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#config().networking.enabled) return
    const families = FAMILIES.filter((family) => facts.underlay[family] !== undefined)
    const current: { readonly [F in Family]?: Ip | undefined } = {
      4: node?.spec.ipv4VXLANTunnelAddr as Ip | undefined,
      6: node?.spec.ipv6VXLANTunnelAddr as Ip | undefined,
    }
    const pools = [...view.get('IPPool').values()].map(({ metadata, spec, status }) => ({ name: metadata.name, spec, status }))
    const depends = JSON.stringify([pools, node?.metadata.labels, families, current, isSettling])
    if (depends === this.#tunnelsFor) return
    const isNeeded = pools.some(({ spec }) => (spec.vxlanMode ?? 'Never') !== 'Never')
    // Peers still send through the tunnel for a moment after the last pool has left it.
    if (!isNeeded && isSettling) {
      this.#tunnel = current
      return
    }
    const next: { -readonly [F in Family]?: Ip | undefined } = {}
    for (const family of families) next[family] = await this.#ipam.ensureTunnelAddress({ family, current: current[family] }, signal)
    this.#tunnel = next
    this.#tunnelsFor = JSON.stringify([pools, node?.metadata.labels, families, next, isSettling])
  }

  #recordFacts(facts: HostFacts) {
    const { name, labels } = this.#config().node
    return { name, labels, address: facts.address, tunnel: this.#tunnel, interfaces: facts.interfaces }
  }
}

type TunnelAddresses = { readonly [F in Family]?: Ip | undefined }

function tunnelsOf(node: Node | undefined): TunnelAddresses {
  return { 4: node?.spec.ipv4VXLANTunnelAddr, 6: node?.spec.ipv6VXLANTunnelAddr }
}

/**
 * Two hosts with one underlay address would get each other's packets. Refused, as Calico does.
 *
 * @throws {ConflictError} naming the other host
 */
export function refuseSameAddress(name: string, facts: Pick<HostFacts, 'address'>, nodes: Iterable<Node>): void {
  const own = new Set(Object.values(facts.address).map((address) => ipOf(address)))
  for (const node of nodes) {
    const other = node.metadata.name
    if (other === name) continue
    const theirs = [node.spec.bgp?.ipv4Address, node.spec.bgp?.ipv6Address].flatMap((text) =>
      text === undefined ? [] : ipOf(parseInterfaceAddress(text)),
    )
    const same = theirs.find((ip) => own.has(ip))
    if (same === undefined) continue
    throw new ConflictError(
      'exists',
      `this host's address ${same} is also that of Node ${JSON.stringify(other)}: give one of them another, or remove the other with margay delete node ${other}`,
    )
  }
}
