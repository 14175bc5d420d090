import type { Cidr } from '../net/cidr.ts'
import { releaseAffinity } from './affinity.ts'
import { collectGarbage, isEmpty } from './block.ts'
import { chunksOf, releaseInBlock } from './block-writes.ts'
import { type Change, commitChanges, type IpamContext } from './context.ts'
import type { Repair } from './findings.ts'
import { ordinalOf } from './ordinals.ts'
import { blocks, handles } from './records.ts'
import { readConfig } from './rules.ts'

/** What became of repairs: of each, whether it was done. Not done: it is no longer what was found, or a fence did not hold. */
export interface RepairOutcome {
  readonly done: readonly Repair[]
  readonly passedOver: readonly Repair[]
}

type AddressRelease = Extract<Repair, { action: 'release-address' }>

/**
 * Gives back what a check found, in the order of addresses, blocks, handles. Each write holds only if what it is about still is as
 * it was found, and if each fence is at its revision (0: absent): so one who was overtaken by others, or who no longer leads, does
 * nothing.
 */
export async function repairAll(
  context: IpamContext,
  repairs: readonly Repair[],
  fences: readonly Change[],
  signal: AbortSignal,
): Promise<RepairOutcome> {
  const { ipCooldownSeconds } = await readConfig(context, signal)
  const run = { context, fences, cooldownSeconds: ipCooldownSeconds, signal }
  const done = await releaseAddresses(run, repairs.filter(isAddressRelease))
  for (const repair of repairs) {
    if (repair.action !== 'release-address' && (await repairOne(run, repair))) done.add(repair)
  }
  return { done: [...done], passedOver: repairs.filter((repair) => !done.has(repair)) }
}

interface Run {
  readonly context: IpamContext
  readonly fences: readonly Change[]
  readonly cooldownSeconds: number
  readonly signal: AbortSignal
}

function isAddressRelease(repair: Repair): repair is AddressRelease {
  return repair.action === 'release-address'
}

async function releaseAddresses(
  { context, fences, cooldownSeconds, signal }: Run,
  releases: readonly AddressRelease[],
): Promise<Set<Repair>> {
  const byBlock = new Map<Cidr, AddressRelease[]>()
  for (const release of releases) byBlock.set(release.block, [...(byBlock.get(release.block) ?? []), release])
  const done = new Set<Repair>()
  for (const [cidr, all] of byBlock) {
    for (const chunk of chunksOf(all)) {
      const ordinals = chunk.map(({ ip, handleId, sequenceNumber }) => ({ ordinal: ordinalOf(cidr, ip), handleId, sequenceNumber }))
      const outcome = await releaseInBlock(context, cidr, { cooldownSeconds, fences, select: () => ordinals }, signal)
      const released = new Set(outcome?.released)
      for (const [i, repair] of chunk.entries()) if (released.has(ordinals[i]?.ordinal ?? -1)) done.add(repair)
    }
  }
  return done
}

async function repairOne(run: Run, repair: Exclude<Repair, AddressRelease>): Promise<boolean> {
  if (repair.action === 'delete-block') return deleteBlock(run, repair)
  if (repair.action === 'delete-handle') return deleteHandle(run, repair)
  const { context, fences, cooldownSeconds, signal } = run
  const { host, block, mustBeEmpty } = repair
  const release = await releaseAffinity(context, host, block, { mustBeEmpty, cooldownSeconds, fences }, signal)
  return release !== 'fenced' && release !== 'not-empty'
}

async function deleteBlock(run: Run, { block: cidr, sequenceNumber }: Extract<Repair, { action: 'delete-block' }>): Promise<boolean> {
  const { context, fences, cooldownSeconds, signal } = run
  const block = await blocks.read(context.store, [cidr], signal)
  if (block.value?.sequenceNumber !== sequenceNumber || block.value.affinity !== undefined) return false
  if (!isEmpty(collectGarbage(block.value, context.now(), cooldownSeconds))) return false
  return (await commitChanges(context, [blocks.change([cidr], block, undefined), ...fences], signal)).isDone
}

async function deleteHandle(run: Run, { handleId, revision }: Extract<Repair, { action: 'delete-handle' }>): Promise<boolean> {
  const { context, fences, signal } = run
  const handle = await handles.read(context.store, [handleId], signal)
  if (handle.revision !== revision) return false
  return (await commitChanges(context, [handles.change([handleId], handle, undefined), ...fences], signal)).isDone
}
