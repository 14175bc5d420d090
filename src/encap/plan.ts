import type { Address, Desired, FdbEntry, Link, Neighbour, Route, Sysctl } from '../kernel/objects.ts'
import { hostCidr, type InterfaceAddress } from '../net/cidr.ts'
import { FAMILIES, type Family } from '../net/ip.ts'
import type { Local, Peer } from './driver.ts'
import type { PoolDriver } from './mtu.ts'
import { VXLAN_DEVICES, vxlan } from './vxlan.ts'

/** What the tunnel devices of this host depend on. */
export interface DeviceInput {
  readonly local: Local
  readonly pools: readonly PoolDriver[]
  /** A pool's mode is being switched: peers may still send the old way, so the devices of before stay. */
  readonly isSettling: boolean
  /** Whether the host's kernel has IPv6. */
  readonly hasIpv6: boolean
  /** Uplinks whose rp_filter, or that of `all`, is not 0 (Linux ip-sysctl, rp_filter). */
  readonly filteredUplinks: readonly string[]
}

/** Whether this host has a VXLAN device for workloads of this family. */
export function hasTunnel({ local, pools, isSettling }: Pick<DeviceInput, 'local' | 'pools' | 'isSettling'>, family: Family): boolean {
  if (local.vtep[family] === undefined || local.underlay[family] === undefined) return false
  return isSettling || pools.some((pool) => pool.family === family && pool.driver.receives.includes('vxlan'))
}

/** Every tunnel device that this host needs, its address, and the kernel parameters of what packets of pools arrive on. */
export function planDevices(input: DeviceInput): Desired {
  const links: Link[] = []
  const addresses: Address[] = []
  const sysctls: Sysctl[] = uplinkSysctls(input)
  for (const family of FAMILIES) {
    const vtep = input.local.vtep[family]
    if (vtep === undefined || !hasTunnel(input, family)) continue
    for (const link of vxlan.devices(input.local, family)) {
      links.push(link)
      // /32 (/128): the address makes no subnet, and the kernel takes it as source for what the host itself sends through the tunnel.
      addresses.push({ link: link.name, address: hostCidr(vtep.ip) as string as InterfaceAddress })
      sysctls.push(...deviceSysctls(link.name, family, input))
    }
  }
  return { links, addresses, sysctls }
}

/** What must stand so that a peer can be reached through the tunnel, whether or not a pool sends that way now. */
export function planPeer(local: Local, peer: Peer, families: readonly Family[]): Desired {
  const neighbours: Neighbour[] = []
  const fdb: FdbEntry[] = []
  for (const family of families) {
    const reach = vxlan.reach(local, peer, family)
    if (reach.via === 'none') continue
    neighbours.push(...reach.neighbours)
    fdb.push(...reach.fdb)
  }
  return { neighbours, fdb }
}

/** The route to a peer's tunnel address itself, for one that is in no block of that peer: the host on the other side answers there. */
export function tunnelAddressRoute(local: Local, peer: Peer, family: Family, table: number): Route | undefined {
  const reach = vxlan.reach(local, peer, family)
  if (reach.via === 'none') return undefined
  return { table, destination: hostCidr(reach.nextHop), metric: 0, type: 'unicast', link: VXLAN_DEVICES[family] }
}

/**
 * A tunnel device's parameters. The kernel uses the greater of `all` and the device's own rp_filter: 2 (loose) on the device
 * keeps a strict `all` from dropping what comes through the tunnel while our own route still goes, or goes already, the other way.
 * Where the host checks no sources the tunnel does not either: a check is one more look at the routes for each packet.
 */
function deviceSysctls(
  link: string,
  family: Family,
  { hasIpv6, filteredUplinks }: Pick<DeviceInput, 'hasIpv6' | 'filteredUplinks'>,
): readonly Sysctl[] {
  const v4 = [
    { key: `net/ipv4/conf/${link}/rp_filter`, value: filteredUplinks.length > 0 ? '2' : '0' },
    { key: `net/ipv4/conf/${link}/forwarding`, value: '1' },
  ]
  if (!hasIpv6) return family === 4 ? v4 : []
  // Without IPv6 on it the IPv4 device sends no neighbour discovery and no multicast reports into the tunnel.
  if (family === 4) return [...v4, { key: `net/ipv6/conf/${link}/disable_ipv6`, value: '1' }]
  return [
    { key: `net/ipv6/conf/${link}/disable_ipv6`, value: '0' },
    { key: `net/ipv6/conf/${link}/accept_ra`, value: '0' },
    { key: `net/ipv6/conf/${link}/forwarding`, value: '1' },
  ]
}

/**
 * Packets of a pool that arrive without encapsulation come from the uplink while, in a switch, the route back still goes through the
 * tunnel: a strict check there would drop them. Only made looser where it is on; what is off stays off.
 */
function uplinkSysctls({ local, pools, isSettling, filteredUplinks }: DeviceInput): Sysctl[] {
  const uplink = local.underlay[4]?.uplink
  const mayArrive = isSettling || pools.some(({ family, driver }) => family === 4 && driver.receives.includes('direct'))
  if (uplink === undefined || !mayArrive || !filteredUplinks.includes(uplink)) return []
  return [{ key: `net/ipv4/conf/${uplink}/rp_filter`, value: '2' }]
}
