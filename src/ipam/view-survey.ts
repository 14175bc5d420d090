import type { Block } from '../model/ipam-block.ts'
import { decodeAffinity, decodeHandle } from '../model/ipam-record-codec.ts'
import { affinitiesPrefix, HANDLES_PREFIX, IPAM_PREFIX, parseAffinityKey, parseHandleKey } from '../model/keys.ts'
import type { Cidr } from '../net/cidr.ts'
import { Slices } from '../store/slices.ts'
import type { Entry } from '../store/store.ts'
import type { Broken, View } from '../store/view.ts'
import { hostAffinity, type IpamContext } from './context.ts'
import type { AddressUser, IpamSurvey, SurveyedAffinity, SurveyedHandle } from './ipam-survey.ts'
import { decodeOrWarn, listAll, readConfig } from './rules.ts'
import { endpointUsers, nodeUsers, obscureNodes } from './users.ts'

/** A view, with what of the store does not parse. */
export type WatchedView = View & { readonly broken: ReadonlyMap<string, Broken> }

/** What a view does not have, and what of it is wanted. */
interface ViewSurveyOptions {
  /** Only what this host has and uses: a fraction of the work. */
  readonly node?: string
  readonly affinities?: readonly SurveyedAffinity[]
  readonly handles?: ReadonlyMap<string, SurveyedHandle>
  readonly cooldownSeconds: number
  readonly now: Date
}

/**
 * A survey from the view that the daemon follows anyway: the store is asked for nothing. Its kinds are followed one by one, so it
 * may show an address without its endpoint, or the other way round; what it finds is looked for again before anything is collected.
 * Blocks first: an address that is given out and used meanwhile is not seen, or seen to be used.
 */
async function surveyView(view: WatchedView, options: ViewSurveyOptions): Promise<IpamSurvey> {
  const { node, affinities, handles, cooldownSeconds, now } = options
  const slices = new Slices()
  const blocks = new Map<Cidr, Block>()
  for (const block of view.get('IPAMBlock').values()) {
    if (node === undefined || concerns(block, node)) blocks.set(block.cidr, block)
    if (slices.isDue) await slices.giveWay()
  }
  const users: AddressUser[] = []
  for (const [id, { spec }] of view.get('WorkloadEndpoint')) {
    if (node === undefined || spec.node === node) users.push(...endpointUsers(id, spec))
    if (slices.isDue) await slices.giveWay()
  }
  for (const [name, { spec }] of view.get('Node')) if (node === undefined || name === node) users.push(...nodeUsers(name, spec))
  const broken = [...view.broken.values()]
  const known = (kind: 'Node' | 'Live') =>
    new Set([...view.get(kind).keys(), ...broken.filter((one) => one.kind === kind).map(({ id }) => id)])
  return {
    ...{ revision: view.revision, takenAt: now, cooldownSeconds, blocks, users, unreadable: [] },
    ...{ nodes: known('Node'), alive: known('Live'), isObscure: obscureNodes(broken) },
    pools: [...view.get('IPPool').values()].map(({ metadata, spec }) => ({ name: metadata.name, cidr: spec.cidr })),
    ...(affinities === undefined ? {} : { affinities }),
    ...(handles === undefined ? {} : { handles }),
  }
}

/**
 * A survey of what concerns this host, or of all, from the view and from the records that no view follows. Asks the store for the
 * host's own claims, or for everybody's and all handles.
 */
export async function surveyWith(context: IpamContext, view: WatchedView, scope: 'host' | 'all', signal: AbortSignal): Promise<IpamSurvey> {
  const { ipCooldownSeconds: cooldownSeconds } = await readConfig(context, signal)
  const now = context.now()
  const prefix = scope === 'host' ? affinitiesPrefix(context.node) : `${IPAM_PREFIX}host/`
  const affinities = (await listAll(context, prefix, signal)).flatMap((entry) => surveyAffinity(context, entry) ?? [])
  if (scope === 'host') return surveyView(view, { node: context.node, affinities, cooldownSeconds, now })
  const handles = new Map<string, SurveyedHandle>()
  const slices = new Slices()
  for (const entry of await listAll(context, HANDLES_PREFIX, signal)) {
    const handle = decodeOrWarn(context, entry.key, () => decodeHandle(entry.value))
    const handleId = parseHandleKey(entry.key)
    if (handle !== undefined && handleId !== undefined) handles.set(handleId, { blocks: handle.blocks, revision: entry.modRevision })
    if (slices.isDue) await slices.giveWay()
  }
  return surveyView(view, { affinities, handles, cooldownSeconds, now })
}

function surveyAffinity(context: IpamContext, { key, value, modRevision: revision }: Entry): SurveyedAffinity | undefined {
  const parsed = parseAffinityKey(key)
  const affinity = parsed && decodeOrWarn(context, key, () => decodeAffinity(value))
  return affinity === undefined || parsed === undefined ? undefined : { ...parsed, state: affinity.state, revision }
}

/** Whether the block is this host's, or one from which it has an address. */
function concerns(block: Block, node: string): boolean {
  return block.affinity === hostAffinity(node) || block.attributes.some(({ secondary }) => secondary?.['node'] === node)
}
