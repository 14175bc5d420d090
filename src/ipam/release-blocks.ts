import { affinitiesPrefix, IPAM_PREFIX, parseAffinityKey } from '../model/keys.ts'
import { type Cidr, cidrContains } from '../net/cidr.ts'
import { FAMILIES, familyOf } from '../net/ip.ts'
import { type Release, releaseAffinity } from './affinity.ts'
import { commitChanges, type IpamContext, ownerOf } from './context.ts'
import { releaseByHandle } from './release.ts'
import { listAll, readConfig } from './rules.ts'
import { forgetHost } from './sticky.ts'
import { blocksInPrefix, decodeBlocks, surveyBlocks } from './survey.ts'
import { tunnelHandles } from './tunnel-address.ts'

/** What became of each block. */
export type BlockReleases = ReadonlyMap<Cidr, Release>

/** Gives back the blocks of a host. Those with addresses lose their owner, or are left alone if they must be empty. */
export async function releaseHostAffinities(
  context: IpamContext,
  host: string,
  options: { readonly mustBeEmpty: boolean },
  signal: AbortSignal,
): Promise<BlockReleases> {
  const keys = (await listAll(context, affinitiesPrefix(host), signal)).map(({ key }) => parseAffinityKey(key))
  const wanted = keys.flatMap((key) => (key === undefined ? [] : [key]))
  return releaseEach(context, [...wanted, ...(await ownedWithoutAffinity(context, host, signal))], options.mustBeEmpty, signal)
}

/**
 * Gives back all blocks of a pool that is to be deleted, whosever they are; disable the pool first, else hosts claim again.
 * Addresses that are held stay so until they are released.
 */
export async function releasePoolAffinities(context: IpamContext, pool: Cidr, signal: AbortSignal): Promise<BlockReleases> {
  const family = familyOf(pool)
  const wanted: { host: string; cidr: Cidr }[] = []
  for (const { key } of await listAll(context, `${IPAM_PREFIX}host/`, signal)) {
    const parsed = parseAffinityKey(key)
    if (parsed !== undefined && familyOf(parsed.cidr) === family && cidrContains(pool, parsed.cidr)) wanted.push(parsed)
  }
  const survey = await surveyBlocks(context, family, signal)
  for await (const { cidr, block } of decodeBlocks(context, survey, blocksInPrefix(survey, pool))) {
    const host = ownerOf(block.affinity)
    if (host !== undefined) wanted.push({ host, cidr })
  }
  return releaseEach(context, wanted, false, signal)
}

/** Forgets a host that is deleted: its tunnel addresses, its blocks, and Calico's old marker. Workloads' addresses go by their handles. */
export async function removeHost(context: IpamContext, host: string, signal: AbortSignal): Promise<BlockReleases> {
  for (const handleId of tunnelHandles(host)) await releaseByHandle(context, handleId, signal)
  await forgetHost(context, host, signal)
  const releases = await releaseHostAffinities(context, host, { mustBeEmpty: false }, signal)
  const key = `${IPAM_PREFIX}host/${host}`
  const marker = await context.store.get(key, signal)
  if (marker !== undefined) await commitChanges(context, [{ key, revision: marker.modRevision, value: undefined }], signal)
  return releases
}

async function releaseEach(
  context: IpamContext,
  wanted: readonly { readonly host: string; readonly cidr: Cidr }[],
  mustBeEmpty: boolean,
  signal: AbortSignal,
): Promise<BlockReleases> {
  const { ipCooldownSeconds: cooldownSeconds } = await readConfig(context, signal)
  const releases = new Map<Cidr, Release>()
  for (const { host, cidr } of wanted) {
    const release = await releaseAffinity(context, host, cidr, { mustBeEmpty, cooldownSeconds }, signal)
    if (release !== 'not-owner' || !releases.has(cidr)) releases.set(cidr, release)
  }
  return releases
}

/** Blocks that say they are the host's while no affinity does. */
async function ownedWithoutAffinity(context: IpamContext, host: string, signal: AbortSignal) {
  const found: { host: string; cidr: Cidr }[] = []
  for (const family of FAMILIES) {
    const survey = await surveyBlocks(context, family, signal)
    for await (const { cidr, block } of decodeBlocks(context, survey, survey.entries.keys())) {
      if (ownerOf(block.affinity) === host) found.push({ host, cidr })
    }
  }
  return found
}
