import type { Reach, Unreachable } from '../encap/driver.ts'
import { MAIN_TABLE, type Route } from '../kernel/objects.ts'
import { type Cidr, hostCidr, isHostCidr } from '../net/cidr.ts'
import type { Family } from '../net/ip.ts'
import type { BlockRoutes } from './blocks.ts'

/**
 * The metric of the blackhole under an address that we borrowed: above that of any workload's route, so that it only matters while
 * no workload here has the address. Without it such packets would follow the block's route to its owner, and come back, until
 * their time to live ends.
 */
const BORROWED_METRIC = 32_768

/** The routes of one block on this host. `reachOf` is asked once for each other node that has addresses of it. */
export function planBlock(node: string, block: BlockRoutes, reachOf: (node: string) => Reach | Unreachable): readonly Route[] {
  const routes: Route[] = []
  if (block.owner === node) routes.push(...ownBlock(block.cidr))
  else if (block.owner !== undefined) routes.push(...routeThrough(block.cidr, reachOf(block.owner)))
  const reaches = new Map<string, Reach | Unreachable>()
  for (const [ip, holder] of block.borrowed) {
    if (holder === node) {
      routes.push(blackhole(hostCidr(ip), BORROWED_METRIC))
      continue
    }
    const reach = reaches.get(holder) ?? reachOf(holder)
    reaches.set(holder, reach)
    routes.push(...routeThrough(hostCidr(ip), reach))
  }
  return routes
}

/** The metric as the kernel reads it back: for IPv6, 1024 and none are the same (rtnetlink, IP6_RT_PRIO_USER). */
export function routeMetric(family: Family, priority: number): number {
  return family === 6 && priority === 1024 ? 0 : priority
}

/** A route as `ip route` shows it, for tests and for people. */
export function showRoute(route: Route): string {
  const words = [
    route.type === 'unicast' ? '' : `${route.type} `,
    route.destination,
    route.nextHop === undefined ? '' : ` via ${route.nextHop}`,
    route.link === undefined ? '' : ` dev ${route.link}`,
    route.metric === 0 ? '' : ` metric ${route.metric}`,
    route.isOnlink === true ? ' onlink' : '',
    route.source === undefined ? '' : ` src ${route.source}`,
    route.mtuBytes === undefined ? '' : ` mtu ${route.mtuBytes}`,
    route.table === MAIN_TABLE ? '' : ` table ${route.table}`,
  ]
  return words.join('')
}

/** Addresses of our own block that no workload has go nowhere; by the default route they would loop between us and the router. */
function ownBlock(cidr: Cidr): readonly Route[] {
  return isHostCidr(cidr) ? [] : [blackhole(cidr, 0)]
}

function blackhole(destination: Cidr, metric: number): Route {
  return { table: MAIN_TABLE, destination, metric, type: 'blackhole' }
}

function routeThrough(destination: Cidr, reach: Reach | Unreachable): readonly Route[] {
  if (reach.via === 'none') return []
  const base = { table: MAIN_TABLE, destination, metric: 0, type: 'unicast', link: reach.link } as const
  // A tunnel address that was borrowed would be its own next hop: it is on the link.
  if (hostCidr(reach.nextHop) === destination) return [base]
  return [{ ...base, nextHop: reach.nextHop, isOnlink: reach.isOnlink }]
}
