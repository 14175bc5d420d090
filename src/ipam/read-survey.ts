import { describeError, ValidationError } from '../errors.ts'
import type { Block } from '../model/ipam-block.ts'
import { decodeBlock } from '../model/ipam-block-codec.ts'
import { decodeAffinity, decodeHandle } from '../model/ipam-record-codec.ts'
import { parseJson } from '../model/json.ts'
import {
  BLOCKS_PREFIX,
  blockKey,
  IPAM_PREFIX,
  LIVE_PREFIX,
  parseAffinityKey,
  parseHandleKey,
  parseKey,
  resourcePrefix,
} from '../model/keys.ts'
import { isObject } from '../model/shape.ts'
import type { Cidr } from '../net/cidr.ts'
import { Slices } from '../store/slices.ts'
import { CompactedError, type Entry } from '../store/store.ts'
import type { IpamContext } from './context.ts'
import type { AddressUser, IpamSurvey, SurveyedAffinity, SurveyedHandle } from './ipam-survey.ts'
import { readConfig, readPools } from './rules.ts'
import { endpointUsers, nodeUsers, obscureNodes } from './users.ts'

/** So often a listing is begun anew because the store was compacted in the middle of it. */
const MOST_TRIES = 3

/** Reads all that a check looks at from the store, at one revision. */
export async function readIpamSurvey(context: IpamContext, signal: AbortSignal): Promise<IpamSurvey> {
  for (let tries = 1; ; tries++) {
    try {
      return await readOnce(context, signal)
    } catch (error) {
      if (!(error instanceof CompactedError) || tries === MOST_TRIES) throw error
    }
  }
}

async function readOnce(context: IpamContext, signal: AbortSignal): Promise<IpamSurvey> {
  const records = new Records()
  let revision = 0
  const slices = new Slices()
  for (const prefix of PREFIXES) {
    for await (const page of context.store.list(prefix, revision === 0 ? {} : { revision }, signal)) {
      revision = page.revision
      for (const entry of page.entries) {
        records.take(entry)
        if (slices.isDue) await slices.giveWay()
      }
    }
  }
  const [pools, { ipCooldownSeconds }] = await Promise.all([readPools(context, signal), readConfig(context, signal)])
  const described = pools.map(({ metadata, spec }) => ({ name: metadata.name, cidr: spec.cidr }))
  return { ...records.survey(), revision, takenAt: context.now(), cooldownSeconds: ipCooldownSeconds, pools: described }
}

const PREFIXES = [IPAM_PREFIX, LIVE_PREFIX, resourcePrefix('Node'), resourcePrefix('WorkloadEndpoint')]

/** What has been read so far. Endpoints and Nodes are read with care: one with a fault still uses the addresses that it names. */
class Records {
  readonly #blocks = new Map<Cidr, Block>()
  readonly #affinities: SurveyedAffinity[] = []
  readonly #handles = new Map<string, SurveyedHandle>()
  readonly #nodes = new Set<string>()
  readonly #alive = new Set<string>()
  readonly #users: AddressUser[] = []
  readonly #obscure: { readonly kind: string; readonly id: string }[] = []
  readonly #unreadable: { readonly key: string; readonly reason: string }[] = []

  take(entry: Entry): void {
    try {
      if (entry.key.startsWith(IPAM_PREFIX)) this.#takeRecord(entry)
      else this.#takeUser(entry)
    } catch (error) {
      this.#unreadable.push({ key: entry.key, reason: describeError(error) })
    }
  }

  survey(): Omit<IpamSurvey, 'revision' | 'takenAt' | 'cooldownSeconds' | 'pools'> {
    return {
      ...{ blocks: this.#blocks, affinities: this.#affinities, handles: this.#handles },
      ...{ nodes: this.#nodes, alive: this.#alive, users: this.#users, unreadable: this.#unreadable },
      isObscure: obscureNodes(this.#obscure),
    }
  }

  #takeRecord({ key, value, modRevision: revision }: Entry): void {
    const handleId = parseHandleKey(key)
    const affinity = parseAffinityKey(key)
    if (key.startsWith(BLOCKS_PREFIX)) {
      const block = decodeBlock(value)
      if (blockKey(block.cidr) !== key) throw new ValidationError(`the block says that it is ${block.cidr}`)
      this.#blocks.set(block.cidr, block)
    } else if (handleId !== undefined) this.#handles.set(handleId, { blocks: decodeHandle(value).blocks, revision })
    else if (affinity !== undefined) this.#affinities.push({ ...affinity, state: decodeAffinity(value).state, revision })
  }

  #takeUser({ key, value }: Entry): void {
    const { kind, id } = parseKey(key) ?? {}
    if (id === undefined) return
    if (kind === 'Live') this.#alive.add(id)
    if (kind === 'Node') this.#nodes.add(id)
    if (kind !== 'Node' && kind !== 'WorkloadEndpoint') return
    // Stays so unless all that it says can be read.
    this.#obscure.push({ kind, id })
    const raw = parseJson(value)
    const spec = isObject(raw) ? raw['spec'] : undefined
    this.#users.push(...(kind === 'Node' ? nodeUsers(id, spec) : endpointUsers(id, spec)))
    this.#obscure.pop()
  }
}
