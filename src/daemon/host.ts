import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config.ts'
import { receivesOf } from '../encap/drivers.ts'
import { describeError } from '../errors.ts'
import type { TableName } from '../kernel/objects.ts'
import type { Kernel } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import type { LiveRecord } from '../model/own/live.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import type { Change, View } from '../store/view.ts'
import type { Applied } from './applied.ts'
import type { Attachments } from './attachments.ts'
import type { EtcdAddresses } from './etcd-addresses.ts'
import type { Facts } from './facts.ts'
import { type HostFacts, readHostFacts } from './host-facts.ts'
import type { LiveKeeper } from './live.ts'
import type { PassTiming, Planning } from './loop.ts'
import type { Planner } from './planner.ts'
import type { Registrar } from './register.ts'
import { SwitchTimers } from './switch-timers.ts'
import type { Trials } from './trials.ts'

/** So long after a pool's mode was changed the old way of receiving stays: longer than any sender waits. Milliseconds. */
const SETTLE_MS = 10_000

/** What the host is made of. */
export interface HostParts {
  /** The configuration as it is now: some of it may change while the daemon runs. */
  readonly config: () => Config
  readonly kernel: Kernel
  readonly planner: Planner
  readonly reconciler: Reconciler
  readonly attachments: Attachments
  readonly applied: Applied
  readonly registrar: Registrar
  readonly live: LiveKeeper
  readonly log: Logger
  readonly hostForwardedBefore: boolean
  readonly etcd: EtcdAddresses
  readonly trials: Pick<Trials, 'look' | 'overlay'>
  /** Asks for another pass, at once or after so many milliseconds. */
  readonly wake: (afterMs?: number) => void
}

/** This host between the loop, which calls it, and the planners, which get from it what they need to know. */
export class Host implements Planning {
  readonly #parts: HostParts
  /** Called when a pass is over. */
  onPass: (view: View, timing: PassTiming) => void = () => {}
  readonly #timers = new SwitchTimers()
  readonly #lastSeen = new Map<string, string>()
  #hostFacts: HostFacts | undefined
  #factsProblem: string | undefined
  #receives: LiveRecord['receives'] | undefined
  /** What was received before the last switch: as good as ever until the switch has settled. */
  #formerReceives: LiveRecord['receives'] = {}
  #settledAtMs = 0
  #mustRegister = true

  constructor(parts: HostParts) {
    this.#parts = parts
  }

  /** What was last read of this host; undefined until it could be read. */
  get facts(): HostFacts | undefined {
    return this.#hostFacts
  }

  /** Why the host's address can't be found now; what was found before goes on to be used. */
  get factsProblem(): string | undefined {
    return this.#factsProblem
  }

  /** When each peer that is not alive now was last seen alive, RFC 3339. */
  lastSeen(): ReadonlyMap<string, string> {
    const now = new Date().toISOString()
    const alive = this.#parts.planner.context?.view.get('Live').keys() ?? []
    return new Map([...this.#lastSeen, ...[...alive].map((node) => [node, now] as const)])
  }

  /** The configuration is another one: what follows from it is looked at again with the next pass. */
  reconfigure(): void {
    this.#mustRegister = true
  }

  async refresh(view: View, signal: AbortSignal): Promise<void> {
    const { kernel, attachments, log } = this.#parts
    const config = this.#parts.config()
    attachments.refresh()
    try {
      const next = await readHostFacts({ kernel, config, node: view.get('Node').get(config.node.name) }, signal)
      this.#factsProblem = undefined
      if (isDeepStrictEqual(next, this.#hostFacts)) return
      this.#hostFacts = next
      this.#mustRegister = true
    } catch (error) {
      // Without any facts there is nothing to plan from; else the host stays as it was known: an address never flips to nothing.
      if (this.#hostFacts === undefined) throw error
      const problem = describeError(error)
      if (problem !== this.#factsProblem)
        log.warn({ reason: problem }, 'address of this host can not be found any more, keeping the old one')
      this.#factsProblem = problem
    }
  }

  async plan(view: View, changes: readonly Change[], dirty: Map<TableName, Set<string>>): Promise<void> {
    const { planner, live } = this.#parts
    const { name } = this.#parts.config().node
    for (const { kind, id } of changes) {
      if (kind === 'Live') this.#lastSeen.set(id, new Date().toISOString())
      if (kind === 'Live' && id === name) live.notice(view.get('Live').get(id))
      if (kind === 'IPPool' || (kind === 'Node' && id === name)) this.#mustRegister = true
    }
    this.#noticeSwitch(view)
    await this.#parts.trials.look(view)
    const facts = this.planFacts()
    if (facts !== undefined) await planner.plan(view, changes, facts, dirty)
  }

  report(view: View, timing: PassTiming): void {
    const { planner, registrar, applied, live, wake } = this.#parts
    const nowMs = performance.now()
    if (this.#timers.update(planner.waits(), nowMs)) wake()
    const dueMs = this.#timers.nextDueMs()
    if (dueMs !== undefined) wake(dueMs - nowMs)
    const isSettling = nowMs < this.#settledAtMs
    if (this.#hostFacts !== undefined) {
      const addresses = Object.values(this.#hostFacts.address)
      live.update({ addresses, ...(this.#canReceive() ? { receives: this.#shownReceives(isSettling) } : {}) })
      if (this.#mustRegister) registrar.poke({ view, facts: this.#hostFacts, isSettling })
      this.#mustRegister = false
    }
    applied.advance()
    this.onPass(view, timing)
  }

  /** A pool's mode is another one: the old side of receiving stays for a while, and is looked at again when that is over. */
  #noticeSwitch(view: View): void {
    const receives = receivesOf(view.get('IPPool').values())
    if (isDeepStrictEqual(receives, this.#receives)) return
    const former = this.#receives
    this.#receives = receives
    if (former === undefined) return
    // A second pool that is switched before the first has settled must not make the first one's old way forgotten.
    this.#formerReceives = performance.now() < this.#settledAtMs ? joinReceives(former, this.#formerReceives) : former
    this.#settledAtMs = performance.now() + SETTLE_MS
    this.#parts.wake(SETTLE_MS + 50)
  }

  /** A peer that is not ready for the new way itself must know that the old one still leads here. */
  #shownReceives(isSettling: boolean): LiveRecord['receives'] {
    const receives = this.#receives ?? {}
    return isSettling ? joinReceives(receives, this.#formerReceives) : receives
  }

  /** Whether the receiving side that the pools ask for stands: the devices are there, and nothing of them or the rules was refused. */
  #canReceive(): boolean {
    const { planner, reconciler } = this.#parts
    const { context } = planner
    if (context === undefined) return false
    const needed = context.pools.filter(
      ({ driver, family }) => driver.receives.includes('vxlan') && context.local.underlay[family] !== undefined,
    )
    if (needed.some(({ family }) => context.local.vtep[family] === undefined)) return false
    return !reconciler.failures().some(({ table, key }) => table === 'policy' || (table === 'links' && key.startsWith('margay.')))
  }

  /** What planning knows of this host now; undefined until it could be read. */
  planFacts(): Facts | undefined {
    const host = this.#hostFacts
    if (host === undefined) return undefined
    const { attachments, hostForwardedBefore, etcd, trials } = this.#parts
    const config = this.#parts.config()
    const isSettling = performance.now() < this.#settledAtMs
    // What was kept for the switch may go now, the tunnel address too.
    if (!isSettling && this.#settledAtMs > 0) {
      this.#settledAtMs = 0
      this.#mustRegister = true
    }
    return {
      node: config.node.name,
      isNetworkingEnabled: config.networking.enabled,
      underlay: host.underlay,
      hostForwardedBefore,
      capabilities: { hasIpv6: host.hasIpv6 },
      netns: attachments.pins,
      interfaces: host.foreignInterfaces,
      advertisedLinks: host.advertisedLinks,
      filteredUplinks: host.filteredUplinks,
      timedOut: this.#timers.timedOut,
      etcd: etcd.use,
      trial: trials.overlay,
      isSettling,
    }
  }
}

/** The ways of the first, for its pools, then those that only the second has. */
function joinReceives(receives: LiveRecord['receives'], more: LiveRecord['receives']): LiveRecord['receives'] {
  const cidrs = Object.keys(receives) as Cidr[]
  return Object.fromEntries(cidrs.map((cidr) => [cidr, [...new Set([...(receives[cidr] ?? []), ...(more[cidr] ?? [])])]]))
}
