import type { Config } from '../config.ts'
import { describeError, StoreError, ValidationError } from '../errors.ts'
import { Pace } from '../kernel/pace.ts'
import type { Kernel } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import { decodeResource } from '../model/codec.ts'
import { resourcePrefix } from '../model/keys.ts'
import type { Node } from '../model/node.ts'
import { type InterfaceAddress, ipOf } from '../net/cidr.ts'
import { FAMILIES, familyOf } from '../net/ip.ts'
import { getResource } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { bootstrap } from './bootstrap.ts'
import { candidatesOf } from './detect.ts'
import { type HostFacts, readHostFacts } from './host-facts.ts'
import type { LiveKeeper } from './live.ts'
import { refuseSameAddress } from './register.ts'
import { pause } from './wake.ts'

/** What admission looks at. */
export interface AdmissionParts {
  readonly store: Store
  readonly kernel: Kernel
  readonly config: Config
  readonly live: LiveKeeper
  readonly log: Logger
  /** Told why the host is not in yet, each time that the reason changes. */
  readonly onWait: (reason: string | undefined) => void
}

/**
 * Lets this host into the network: finds its address, makes sure that nobody else has its name or address, and creates what is
 * missing in etcd. Tries for ever while etcd is away.
 *
 * @throws {ConflictError} when another live host has this one's name or address
 * @throws {ValidationError} when this host is new and its address can't be found as configured
 */
export async function admit(parts: AdmissionParts, signal: AbortSignal): Promise<void> {
  let told: string | undefined
  for (;;) {
    try {
      await admitOnce(parts, signal)
      parts.onWait(undefined)
      return
    } catch (error) {
      if (!isWorthWaiting(error)) throw error
      const reason = describeError(error)
      if (reason !== told) {
        parts.log.warn({ reason }, 'not in the network yet, trying again')
        parts.onWait(reason)
      }
      told = reason
    }
    await pause(1000, signal)
    if (signal.aborted) return
  }
}

/** The host's address is not there yet, though nothing is wrong with the configuration. */
class NotYetError extends ValidationError {}

async function admitOnce(parts: AdmissionParts, signal: AbortSignal): Promise<void> {
  const { store, kernel, config, live, log } = parts
  const stored = await getResource(store, { kind: 'Node', name: config.node.name }, signal)
  const facts = await readFacts(parts, stored, signal)
  refuseSameAddress(config.node.name, facts, await nodesNaming(Object.values(facts.address), store, signal))
  await live.claim(Object.values(facts.address), signal)
  const interfaces = await kernel.interfaces(signal)
  await bootstrap({ store, config, interfaces, hasIpv6Underlay: facts.underlay[6] !== undefined, log }, signal)
}

/**
 * The Nodes whose text may say one of these addresses: of thousands few must be parsed. An IPv6 address has several notations, so
 * every Node with one counts.
 */
async function nodesNaming(addresses: readonly InterfaceAddress[], store: Store, signal: AbortSignal): Promise<readonly Node[]> {
  const marks = addresses.map((address) => (familyOf(address) === 4 ? ipOf(address) : 'ipv6Address'))
  const nodes: Node[] = []
  const pace = new Pace()
  for await (const page of store.list(resourcePrefix('Node'), {}, signal)) {
    for (const { value, modRevision } of page.entries) {
      if (marks.some((mark) => value.includes(mark))) nodes.push(...parsedNode(value, modRevision))
      if (pace.isDue) await pace.giveWay()
    }
  }
  return nodes
}

/** One that does not parse can't be compared; status names it. */
function parsedNode(value: string, modRevision: number): readonly Node[] {
  try {
    return [decodeResource('Node', value, modRevision)]
  } catch {
    return []
  }
}

/** A host that was in the network before waits for its address, which comes up late after a reboot; a new one is told what is wrong. */
async function readFacts(
  { kernel, config }: AdmissionParts,
  stored: Parameters<typeof readHostFacts>[0]['node'],
  signal: AbortSignal,
): Promise<HostFacts> {
  try {
    return await readHostFacts({ kernel, config, node: stored }, signal)
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error
    const interfaces = await kernel.interfaces(signal)
    const isBare = FAMILIES.every((family) => candidatesOf(interfaces, family).length === 0)
    if (stored !== undefined || isBare) throw new NotYetError(error.message, [], { cause: error })
    throw error
  }
}

/** Every trouble with the store is waited out, also a wrong password: somebody may put it right. */
function isWorthWaiting(error: unknown): boolean {
  return error instanceof NotYetError || error instanceof StoreError
}
