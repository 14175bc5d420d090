import { IpamError } from '../errors.ts'
import { allowsUse, type IPPool, isUsable } from '../model/ip-pool.ts'
import { type Family, familyOf, type Ip } from '../net/ip.ts'
import { autoAssign } from './assign.ts'
import { assignIp } from './assign-ip.ts'
import type { IpamContext } from './context.ts'
import { poolOf, selectsNode } from './pools.ts'
import { type AddressUse, heldBy, lookUp } from './queries.ts'
import { releaseByHandle, releaseIps } from './release.ts'
import { type Rules, readRules } from './rules.ts'

/** The handle of a host's VXLAN address, as Calico names it: both must know whose it is. */
export function tunnelHandle(node: string, family: Family): string {
  return `${VXLAN[family].handle}${node}`
}

/** The handles of every tunnel address that a host may have, also of kinds that only Calico makes. */
export function tunnelHandles(node: string): readonly string[] {
  return TUNNEL_HANDLES.map((prefix) => `${prefix}${node}`)
}

/** The host of a tunnel address' handle, or undefined for another handle. */
export function tunnelNodeOf(handleId: string): string | undefined {
  const prefix = TUNNEL_HANDLES.find((head) => handleId.startsWith(head))
  return prefix === undefined ? undefined : handleId.slice(prefix.length)
}

/**
 * The address of this host's VXLAN device in a family: the one it has, if that is good, else another one. Undefined, and what it
 * had is released, where no pool with VXLAN serves this host. The caller writes the answer to the Node; if it is killed before,
 * the next call finds the address under its handle.
 *
 * @throws {IpamError} as autoAssign
 */
export async function ensureTunnelAddress(
  context: IpamContext,
  { family, current }: { readonly family: Family; readonly current: Ip | undefined },
  signal: AbortSignal,
): Promise<Ip | undefined> {
  const { node } = context
  const handleId = tunnelHandle(node, family)
  const rules = await readRules(context, signal)
  const pools = tunnelPools(rules, family)
  if (pools.length === 0) return void (await releaseByHandle(context, handleId, signal))
  const held = await heldBy(context, handleId, signal)
  const good = held.filter(({ ip, attributes }) => poolOf(pools, ip) !== undefined && attributes['node'] === node)
  const kept = good.find(({ ip }) => ip === current) ?? good[0]
  await releaseIps(
    context,
    held.filter((one) => one !== kept),
    signal,
  )
  if (kept !== undefined) return kept.ip
  const again = current !== undefined && poolOf(pools, current) !== undefined ? await takeAgain(context, current, signal) : undefined
  if (again !== undefined) return again
  const request = { handleId, attributes: attributesOf(family), use: 'Tunnel', families: [family] } as const
  const assigned = await autoAssign(context, { ...request, pools: pools.map(({ spec }) => spec.cidr) }, signal)
  return assigned[0]?.ip
}

/** Releases this host's VXLAN address of a family. */
export async function releaseTunnelAddress(context: IpamContext, family: Family, signal: AbortSignal): Promise<void> {
  await releaseByHandle(context, tunnelHandle(context.node, family), signal)
}

const VXLAN = {
  4: { handle: 'vxlan-tunnel-addr-', type: 'vxlanTunnelAddress' },
  6: { handle: 'vxlan-v6-tunnel-addr-', type: 'vxlanV6TunnelAddress' },
} as const

const TUNNEL_HANDLES = ['ipip-tunnel-addr-', VXLAN[4].handle, VXLAN[6].handle, 'wireguard-tunnel-addr-', 'wireguard-v6-tunnel-addr-']

function attributesOf(family: Family): Readonly<Record<string, string>> {
  return { type: VXLAN[family].type }
}

function tunnelPools({ pools, asker }: Rules, family: Family): readonly IPPool[] {
  return pools.filter((pool) => {
    const isVxlan = familyOf(pool.spec.cidr) === family && (pool.spec.vxlanMode ?? 'Never') !== 'Never'
    return isVxlan && isUsable(pool) && allowsUse(pool, 'Tunnel') && selectsNode(pool, asker.labels)
  })
}

/**
 * The address that the Node has although its handle doesn't: had again where it is free (the records were lost), or is ours
 * without a handle, as old versions of Calico wrote it. Undefined: another has it.
 */
async function takeAgain(context: IpamContext, ip: Ip, signal: AbortSignal): Promise<Ip | undefined> {
  const { node } = context
  const family = familyOf(ip)
  const use = await lookUp(context, ip, signal)
  if (use.state === 'used' && isOursWithoutHandle(use, node, family)) await releaseIps(context, [use], signal)
  else if (use.state === 'used') return undefined
  try {
    const request = { ip, handleId: tunnelHandle(node, family), attributes: attributesOf(family), use: 'Tunnel' } as const
    return (await assignIp(context, request, signal)).ip
  } catch (error) {
    if (!(error instanceof IpamError)) throw error
    context.log.warn({ address: ip, err: error }, 'could not keep the tunnel address')
    return undefined
  }
}

function isOursWithoutHandle({ handleId, attributes }: AddressUse, node: string, family: Family): boolean {
  return handleId === undefined && attributes['node'] === node && attributes['type'] === VXLAN[family].type
}
