import { IpamError, ValidationError } from '../errors.ts'
import { decodeEntry } from '../model/codec.ts'
import type { IPPool } from '../model/ip-pool.ts'
import { DEFAULT_IPAM_CONFIG, type IpamConfig } from '../model/ipam-config.ts'
import { decodeIpamConfig } from '../model/ipam-record-codec.ts'
import { IPAM_CONFIG_KEY, resourceKey, resourcePrefix } from '../model/keys.ts'
import { type Cidr, parseCidrLoosely } from '../net/cidr.ts'
import type { Entry } from '../store/store.ts'
import type { IpamContext } from './context.ts'
import type { Asker } from './pools.ts'
import { createRangeSet, type RangeSet } from './reservations.ts'

/** What decides about an address beside the blocks. Read for each request: whoever changes a pool sees it in the next address. */
export interface Rules {
  readonly config: IpamConfig
  readonly pools: readonly IPPool[]
  readonly asker: Asker
  readonly reserved: RangeSet
}

/** How many blocks a host may have unless the configuration or the request says otherwise. */
export const DEFAULT_MAX_BLOCKS = 20

/**
 * Reads the rules.
 *
 * @throws {IpamError} `ipam-no-node`: without the Node's labels nobody can say which pools select it
 */
export async function readRules(context: IpamContext, signal: AbortSignal): Promise<Rules> {
  const { store, node } = context
  const [config, pools, entry, reserved] = await Promise.all([
    readConfig(context, signal),
    readPools(context, signal),
    store.get(resourceKey('Node', node), signal),
    readReservations(context, signal),
  ])
  const decoded = entry && decodeEntry(entry.key, entry.value, entry.modRevision)
  if (decoded?.kind !== 'Node') throw new IpamError('ipam-no-node', `there is no Node ${JSON.stringify(node)} in the store`)
  return { config, pools, asker: { node, labels: decoded.value.metadata.labels }, reserved }
}

/** What the store says of allocation, or the defaults. */
export async function readConfig(context: IpamContext, signal: AbortSignal): Promise<IpamConfig> {
  const entry = await context.store.get(IPAM_CONFIG_KEY, signal)
  return entry === undefined ? DEFAULT_IPAM_CONFIG : decodeIpamConfig(entry.value)
}

/** All pools that can be read, by name. A broken one gives no addresses and hinders no other. */
export async function readPools(context: IpamContext, signal: AbortSignal): Promise<readonly IPPool[]> {
  const pools: IPPool[] = []
  for (const entry of await listAll(context, resourcePrefix('IPPool'), signal)) {
    const decoded = decodeOrWarn(context, entry.key, () => decodeEntry(entry.key, entry.value, entry.modRevision))
    if (decoded?.kind === 'IPPool') pools.push(decoded.value)
  }
  return pools
}

/** The addresses that Calico's IPReservations hold back. */
export async function readReservations(context: IpamContext, signal: AbortSignal): Promise<RangeSet> {
  const cidrs: Cidr[] = []
  for (const entry of await listAll(context, resourcePrefix('IPReservation'), signal)) {
    for (const text of decodeOrWarn(context, entry.key, () => reservedTexts(entry.value)) ?? []) {
      const cidr = decodeOrWarn(context, entry.key, () => parseCidrLoosely(text))
      if (cidr !== undefined) cidrs.push(cidr)
    }
  }
  return createRangeSet(cidrs)
}

/** Every entry under a prefix, at one revision. */
export async function listAll(context: IpamContext, prefix: string, signal: AbortSignal): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for await (const page of context.store.list(prefix, {}, signal)) entries.push(...page.entries)
  return entries
}

/** The decoded value, or undefined and a warning where it doesn't parse. */
export function decodeOrWarn<T>(context: IpamContext, key: string, decode: () => T): T | undefined {
  try {
    return decode()
  } catch (err) {
    if (!(err instanceof ValidationError)) throw err
    context.log.warn({ key, err }, 'passed over a value that does not parse')
    return undefined
  }
}

/** `spec.reservedCIDRs`: addresses and prefixes, host bits allowed. */
function reservedTexts(value: string): readonly string[] {
  try {
    const spec: unknown = Object(JSON.parse(value)).spec
    const texts: unknown = Object(spec).reservedCIDRs ?? []
    if (Array.isArray(texts) && texts.every((text) => typeof text === 'string')) return texts
  } catch (cause) {
    throw new ValidationError('an IPReservation is not JSON', [], { cause })
  }
  throw new ValidationError('spec.reservedCIDRs of an IPReservation is not a list of texts')
}
