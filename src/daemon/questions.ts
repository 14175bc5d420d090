import { describeError } from '../errors.ts'
import type { Kernel } from '../kernel/table.ts'
import type { AskKind } from '../model/own/ask.ts'
import type { ExposedReport, ExposedRequest } from '../model/own/exposed.ts'
import type { ObservedReport, ObserveRequest } from '../model/own/observed.ts'
import type { EtcdUse } from '../policy/implicit.ts'
import { describeForeignDrop, findForeignDrops, neededPackets } from '../questions/foreign-drops.ts'
import type { Revocation } from '../questions/tolerated.ts'
import { EMBEDDED_CLIENT_PORT } from '../store/embedded.ts'
import type { Responder } from './answers.ts'
import { AskedHost, type AskedParts, type TrialInForce } from './asked-host.ts'
import { listConnections } from './daemon-parts.ts'
import { auditExposed, auditPublished } from './exposed.ts'
import { type ForeignLook, ForeignRules } from './foreign-rules.ts'
import type { HostFacts } from './host-facts.ts'
import { observe } from './observe.ts'
import type { PlanContext } from './plan-context.ts'
import { createResponders } from './responders.ts'

/** What questions about this host are answered from. */
export interface QuestionsParts {
  readonly node: string
  readonly kernel: Pick<Kernel, 'routeTo' | 'interfaces'>
  /** What the last plan was made from; undefined before the first. */
  readonly context: () => PlanContext | undefined
  readonly facts: () => Pick<HostFacts, 'underlay'> | undefined
  readonly etcd: () => EtcdUse
  readonly revocation: () => Revocation
  readonly refused: () => ReadonlyMap<string, string>
  readonly trials: () => readonly TrialInForce[]
}

/** Status waits for the rules of others so long; the next one has them. Milliseconds. */
const STATUS_WAITS_MS = 1500

/** Answers what is asked about this host: through etcd by anybody, and on the socket. */
export class Questions {
  readonly #parts: QuestionsParts
  readonly #foreign = new ForeignRules()
  #warnings: { readonly atMs: number; readonly texts: Promise<readonly string[]> } | undefined

  constructor(parts: QuestionsParts) {
    this.#parts = parts
  }

  /** Who answers which kind of question. */
  responders(): Readonly<Record<AskKind, Responder>> {
    return createResponders(this.#askedParts())
  }

  /** What host endpoints that are not there yet would drop. */
  observe(request: ObserveRequest, signal: AbortSignal): Promise<ObservedReport> {
    return observe(this.#asked(), listConnections, request, signal)
  }

  /** What of this host is reachable from where. */
  async exposed(request: ExposedRequest, signal: AbortSignal): Promise<ExposedReport> {
    const foreign = await this.#foreign.read(true)
    this.#warnings = undefined
    const blind = foreign.isBlind ? ['rules of other programs, and ports that they publish, are not looked at: there is no nft'] : []
    const report = await auditExposed(this.#asked(), foreign, request, signal)
    return { ...report, warnings: [...report.warnings, ...this.#drops(foreign, report), ...blind] }
  }

  /** What rules of other programs cut of what we allow, and let past our policies; looked at once a minute, when somebody asks. */
  async foreignWarnings(): Promise<readonly string[]> {
    if (this.#parts.context() === undefined) return []
    const nowMs = performance.now()
    if (this.#warnings === undefined || nowMs - this.#warnings.atMs > 60_000) {
      this.#warnings = { atMs: nowMs, texts: this.#lookForWarnings().catch((error: unknown) => [describeError(error)]) }
    }
    const late = new Promise<readonly string[]>((resolve) => setTimeout(() => resolve([]), STATUS_WAITS_MS).unref())
    return Promise.race([this.#warnings.texts, late])
  }

  async #lookForWarnings(): Promise<readonly string[]> {
    const foreign = await this.#foreign.read()
    const signal = AbortSignal.timeout(5000)
    const published = await auditPublished(this.#asked(), foreign, signal)
    const open =
      filtersInput(foreign) && this.#hasHostEndpoint() ? await auditExposed(this.#asked(), foreign, { from: 'world' }, signal) : undefined
    return [...foreign.problems, ...this.#drops(foreign, open), ...published]
  }

  #hasHostEndpoint(): boolean {
    return [...(this.#parts.context()?.view.get('HostEndpoint').values() ?? [])].some(({ spec }) => spec.node === this.#parts.node)
  }

  #drops({ ruleset }: ForeignLook, report: ExposedReport | undefined): readonly string[] {
    const context = this.#parts.context()
    if (context === undefined) return []
    const uplink = (context.facts.underlay[4] ?? context.facts.underlay[6])?.uplink ?? ''
    const tunnelPort = context.tunnels.length === 0 ? undefined : context.local.vxlan.port
    const etcd = this.#parts.etcd().ownPorts.includes(EMBEDDED_CLIENT_PORT) ? [ETCD] : []
    const allowed = report === undefined || !this.#hasHostEndpoint() ? [] : allowedPorts(report)
    const needed = neededPackets({ hasWorkloads: context.endpoints.size > 0, uplink, tunnelPort, taken: [...etcd, ...allowed] })
    return findForeignDrops(ruleset, needed).map(describeForeignDrop)
  }

  #asked(): AskedHost {
    return new AskedHost(this.#askedParts())
  }

  #askedParts(): AskedParts {
    const { context, ...parts } = this.#parts
    return { ...parts, view: () => context()?.view }
  }
}

const ETCD = {
  about: `what other hosts ask the etcd of this host (TCP ${EMBEDDED_CLIENT_PORT})`,
  protocol: 'tcp',
  port: EMBEDDED_CLIENT_PORT,
} as const

function filtersInput({ ruleset }: ForeignLook): boolean {
  return ruleset.chains.some(({ hook, type }) => hook === 'input' && type === 'filter')
}

/** Ports that policies leave open to all the world, on which a program listens. */
function allowedPorts({ ports }: ExposedReport) {
  const open = ports.filter(({ from, publishedTo }) => publishedTo === undefined && from['world']?.verdict === 'yes')
  const needs = open.map(({ port, protocol, program = 'a program' }) => ({
    about: `${protocol} port ${port} (${program})`,
    protocol: protocol === 'TCP' ? ('tcp' as const) : ('udp' as const),
    port,
  }))
  return [...new Map(needs.map((need) => [need.about, need])).values()]
}
