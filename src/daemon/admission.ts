import type { Config } from '../config.ts'
import { describeError, StoreError, ValidationError } from '../errors.ts'
import type { Kernel } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import { FAMILIES } from '../net/ip.ts'
import { getResource, listResources } from '../store/resource-store.ts'
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
  const { resources } = await listResources(store, { kind: 'Node' }, signal)
  refuseSameAddress(config.node.name, facts, resources)
  await live.claim(Object.values(facts.address), signal)
  const interfaces = await kernel.interfaces(signal)
  await bootstrap({ store, config, interfaces, hasIpv6Underlay: facts.underlay[6] !== undefined, log }, signal)
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
