import { KernelError } from '../../errors.ts'
import { type Cidr, ipOf, lengthOf } from '../../net/cidr.ts'
import { FAMILIES, type Family, familyOf, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { keyOf, ROUTE_PROTOCOL, type Route } from '../objects.ts'
import { AF_INET, AF_INET6, ERRNO, RTM, RTMSG_BYTES } from './constants.ts'
import { createEntryTable, type EntryKind, indexIfPresent, type NetlinkContext } from './entry-table.ts'
import { Held } from './held.ts'
import { type Message, type MessageWriter, NLM_F_CREATE, NLM_F_REPLACE, readAttributes, readNested, readNumber } from './message.ts'

const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, METRICS: 8, MULTIPATH: 9, TABLE: 15, VIA: 18 } as const
const RTAX_MTU = 2
const RTM_F_CLONED = 0x200
const RTNH_F_ONLINK = 4
const RT_SCOPE_LINK = 253
const RT_SCOPE_NOWHERE = 255
/** What the kernel makes of an IPv6 route without a metric (IP6_RT_PRIO_USER). */
const IPV6_DEFAULT_METRIC = 1024
const TYPES = { unicast: 1, blackhole: 6, unreachable: 7, prohibit: 8, throw: 9 } as const

/** Routes with protocol 77, in every table, both families. */
export function createRouteTable(context: NetlinkContext) {
  return createEntryTable(context, routeKind(context))
}

/** The key and value of a route in a notice or dump, whoever made it; undefined for what has no key of ours (TOS, source routing). */
export function readRoute(message: Message, linkName: (index: number) => string | undefined) {
  const { payload } = message
  if (message.type !== RTM.NEWROUTE && message.type !== RTM.DELROUTE) return undefined
  const family = payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 6 : undefined
  const isPlain = payload[2] === 0 && payload[3] === 0 && (payload.readUInt32LE(8) & RTM_F_CLONED) === 0
  const type = TYPE_NAMES.get(payload[7] ?? 0)
  if (family === undefined || !isPlain || type === undefined) return undefined
  return { protocol: payload[5] ?? 0, route: readAttributesOf(payload, family, type, linkName) }
}

function routeKind(context: NetlinkContext): EntryKind<Route> {
  const linkName = (index: number) => (context.links.get(index) ?? context.links.ask(index))?.name
  const held = new Held<Route>(isSameRoute)
  return {
    held,
    keyOf: keyOf.routes,
    linkOf: ({ link }) => link,
    matches: isSameRoute,
    // IPv6 refuses a next hop, onlink or not, that another route leads out of another link (ip6_route_check_nh_onlink, Linux 4.19): a route
    // to the next hop itself must stand before.
    isFirst: (route) => route.type === 'unicast' && route.nextHop === undefined,
    severalOf: ({ table, destination, metric }) => ({ table, destination, metric, type: 'unicast' }),
    async list(signal) {
      const found: Route[] = []
      for (const family of FAMILIES) {
        const take = (message: Message) => {
          const read = readRoute(message, linkName)
          return read?.protocol === ROUTE_PROTOCOL ? read.route : undefined
        }
        for (const route of await context.netlink.dump((writer, flags) => writeDump(writer, flags, family), take, signal)) found.push(route)
      }
      return found
    },
    put(key, route) {
      const index = route.link === undefined ? undefined : context.links.indexOf(route.link)
      if (route.type === 'unicast' && index === undefined) {
        throw new KernelError(`the route to ${route.destination} names no interface`, { errno: ERRNO.EINVAL })
      }
      const write = (writer: MessageWriter, sequence: number) => writeRoute(writer, sequence, route, index)
      return [{ key, describe: () => `put the route ${showRoute(route)}`, write }]
    },
    remove(key, route) {
      const index = route.link === undefined ? undefined : indexIfPresent(context.links, route.link)
      if (route.link !== undefined && index === undefined) return []
      const write = (writer: MessageWriter, sequence: number) => writeRemoval(writer, sequence, route, index)
      return [{ key, describe: () => `remove the route ${showRoute(route)}`, write, tolerates: [ERRNO.ESRCH, ERRNO.ENODEV] }]
    },
    readNotice(message) {
      // A routing daemon may change its own routes by the thousand: those are passed over without reading more.
      if (message.payload[5] !== ROUTE_PROTOCOL && (message.flags & NLM_F_REPLACE) === 0) return undefined
      const read = readRoute(message, linkName)
      if (read === undefined) return undefined
      const key = keyOf.routes(read.route)
      if (read.protocol === ROUTE_PROTOCOL) return { key, value: message.type === RTM.NEWROUTE ? read.route : undefined }
      // Somebody replaced ours by a route of their own: the kernel tells of theirs, not that ours went.
      const isReplaced = message.type === RTM.NEWROUTE && held.has(key)
      return isReplaced ? { key, value: undefined } : undefined
    },
  }
}

function isSameRoute(a: Route, b: Route): boolean {
  return (
    a.table === b.table &&
    a.destination === b.destination &&
    effectiveMetric(a) === effectiveMetric(b) &&
    a.type === b.type &&
    a.link === b.link &&
    a.nextHop === b.nextHop &&
    (a.isOnlink ?? false) === (b.isOnlink ?? false) &&
    a.source === b.source &&
    a.mtuBytes === b.mtuBytes
  )
}

/** `10.65.1.0/26 via 10.65.1.0 dev margay.vxlan onlink`, as `ip route` would say it. */
function showRoute(route: Route): string {
  const parts = [route.type === 'unicast' ? '' : `${route.type} `, route.destination]
  if (route.nextHop !== undefined) parts.push(` via ${route.nextHop}`)
  if (route.link !== undefined) parts.push(` dev ${route.link}`)
  if (route.isOnlink === true) parts.push(' onlink')
  if (route.table !== 254) parts.push(` table ${route.table}`)
  return parts.join('')
}

function effectiveMetric(route: Route): number {
  return familyOf(route.destination) === 6 && route.metric === 0 ? IPV6_DEFAULT_METRIC : route.metric
}

function writeRoute(writer: MessageWriter, sequence: number, route: Route, index: number | undefined): void {
  const { buffer, at } = writer.begin(RTM.NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sequence, RTMSG_BYTES)
  writeHead(buffer, at, route)
  const isOnLinkOnly = route.type === 'unicast' && route.nextHop === undefined && familyOf(route.destination) === 4
  buffer[at + 6] = isOnLinkOnly ? RT_SCOPE_LINK : 0
  if (route.isOnlink === true) buffer.writeUInt32LE(RTNH_F_ONLINK, at + 8)
  writeKey(writer, route)
  if (index !== undefined) writer.u32(RTA.OIF, index)
  if (route.nextHop !== undefined) writer.bytesOf(RTA.GATEWAY, ipToBytes(route.nextHop))
  if (route.source !== undefined) writer.bytesOf(RTA.PREFSRC, ipToBytes(route.source))
  const { mtuBytes } = route
  if (mtuBytes !== undefined) writer.nested(RTA.METRICS, () => writer.u32(RTAX_MTU, mtuBytes))
  writer.finish()
}

/** Type, interface and next hop are given where known: an IPv4 metric of 0 would otherwise match a route of any metric. */
function writeRemoval(writer: MessageWriter, sequence: number, route: Route, index: number | undefined): void {
  const { buffer, at } = writer.begin(RTM.DELROUTE, 0, sequence, RTMSG_BYTES)
  writeHead(buffer, at, route)
  buffer[at + 6] = RT_SCOPE_NOWHERE
  // Something that a Route can't say stands there: whatever it is.
  if (route.type === 'unicast' && index === undefined) buffer[at + 7] = 0
  writeKey(writer, route)
  if (index !== undefined) writer.u32(RTA.OIF, index)
  if (index !== undefined && route.nextHop !== undefined) writer.bytesOf(RTA.GATEWAY, ipToBytes(route.nextHop))
  writer.finish()
}

function writeHead(buffer: Buffer, at: number, route: Route): void {
  buffer[at] = familyOf(route.destination) === 4 ? AF_INET : AF_INET6
  buffer[at + 1] = lengthOf(route.destination)
  buffer[at + 5] = ROUTE_PROTOCOL
  buffer[at + 7] = TYPES[route.type]
}

function writeKey(writer: MessageWriter, route: Route): void {
  if (lengthOf(route.destination) > 0) writer.bytesOf(RTA.DST, ipToBytes(ipOf(route.destination)))
  writer.u32(RTA.TABLE, route.table)
  // For IPv6 always: a removal without a metric takes a route of any metric.
  if (effectiveMetric(route) !== 0) writer.u32(RTA.PRIORITY, effectiveMetric(route))
}

/** The kernel itself leaves out what is not of our protocol (strict checking, Linux 4.20): a full BGP table costs us nothing. */
function writeDump(writer: MessageWriter, flags: number, family: Family): void {
  const { buffer, at } = writer.begin(RTM.GETROUTE, flags, 0, RTMSG_BYTES)
  buffer[at] = family === 4 ? AF_INET : AF_INET6
  buffer[at + 5] = ROUTE_PROTOCOL
  writer.finish()
}

const TYPE_NAMES: ReadonlyMap<number, Route['type']> = new Map(Object.entries(TYPES).map(([name, type]) => [type, name as Route['type']]))

function readAttributesOf(payload: Buffer, family: Family, type: Route['type'], linkName: (index: number) => string | undefined): Route {
  const attributes = readAttributes(payload, RTMSG_BYTES)
  const destination = attributes.get(RTA.DST)
  const metric = readNumber(attributes.get(RTA.PRIORITY)) ?? 0
  const head = {
    table: readNumber(attributes.get(RTA.TABLE)) ?? payload[4] ?? 0,
    destination: `${destination === undefined ? ANY[family] : ipFromBytes(destination)}/${payload[1]}` as Cidr,
    metric: family === 6 && metric === IPV6_DEFAULT_METRIC ? 0 : metric,
  }
  const mtuBytes = readNumber(readNested(attributes.get(RTA.METRICS)).get(RTAX_MTU))
  const source = attributes.get(RTA.PREFSRC)
  const more = { ...(source && { source: ipFromBytes(source) }), ...(mtuBytes !== undefined && { mtuBytes }) }
  // For IPv6 the kernel says that a blackhole is on `lo`.
  if (type !== 'unicast') return { ...head, type, ...more }
  // Several next hops, or one of the other family: not of our making, and equal to nothing that is wanted.
  if (attributes.has(RTA.MULTIPATH) || attributes.has(RTA.VIA)) return { ...head, type }
  const link = linkName(readNumber(attributes.get(RTA.OIF)) ?? 0)
  const gateway = attributes.get(RTA.GATEWAY)
  const isOnlink = (payload.readUInt32LE(8) & RTNH_F_ONLINK) !== 0
  return {
    ...head,
    type,
    ...(link !== undefined && { link }),
    ...(gateway && { nextHop: ipFromBytes(gateway) }),
    ...(isOnlink && { isOnlink }),
    ...more,
  }
}

const ANY: { readonly [F in Family]: Ip } = { 4: '0.0.0.0' as Ip, 6: '::' as Ip }
