import { underlayAddresses } from '../encap/peer.ts'
import { ValidationError } from '../errors.ts'
import type { Socket } from '../kernel/sockets/proc-net.ts'
import { findOwners, listSockets } from '../kernel/sockets/sockets.ts'
import type { ExposedFrom, ExposedPort, ExposedReport, ExposedRequest } from '../model/own/exposed.ts'
import { parseCidrLoosely } from '../net/cidr.ts'
import { familyOf, type Ip, isIp, parseIp } from '../net/ip.ts'
import { endsOf, exposure, type Target, type Vantage, viewpoints } from '../questions/exposure.ts'
import { findPublished, type Published } from '../questions/foreign-ruleset.ts'
import { UNCOVERED } from '../questions/judge.ts'
import { policeHost } from '../questions/policed-host.ts'
import type { AskedHost } from './asked-host.ts'
import type { ForeignLook } from './foreign-rules.ts'
import { paced } from './paced.ts'

/** So many warnings name ports one by one. */
const MOST_NAMED = 20

/** What of this host can be reached from where, by its policies: sockets that listen, and ports that NAT of others sends elsewhere. */
export async function auditExposed(
  asked: AskedHost,
  foreign: ForeignLook,
  request: ExposedRequest,
  signal: AbortSignal,
): Promise<ExposedReport> {
  await asked.look(signal)
  const places = await findPlaces(asked, request, signal)
  const sockets = distinct(await listSockets(({ state }) => state === 'listening', signal))
  const owners = await findOwners(new Set(sockets.map(({ inode }) => inode)), () => true, signal)
  const published = findPublished(foreign.ruleset)
  const { own, from, portOf } = await judgePublished(asked, published, places, signal)
  const listening = sockets.map((socket): ExposedPort => {
    const { protocol, local } = socket
    const name = owners.get(socket.inode)?.name
    const program = name === undefined ? {} : { program: name }
    const target = { protocol, port: local.port, addresses: isAny(local.address) ? addressesFor(socket, own) : [local.address] }
    return { port: local.port, protocol: protocolName(protocol), ...program, address: local.address, from: from(target) }
  })
  const translated = published.map(portOf)
  const ports = [...listening, ...translated].sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1))
  return { node: asked.node, places: [...places.keys()], ports, warnings: [...foreign.problems, ...uncovered(translated)] }
}

/** This host by its policies, for packets from these places to its own addresses and to where ports are published. */
async function judgePublished(
  asked: AskedHost,
  published: readonly Published[],
  places: ReadonlyMap<string, readonly Vantage[]>,
  signal: AbortSignal,
) {
  const own = [...asked.addresses].filter((ip) => !isLoopback(ip))
  const ends = published.flatMap(({ to }) => (to !== undefined && isIp(to.address) ? [parseIp(to.address)] : []))
  const links = await asked.linksTo(ends, signal)
  const addresses = [...own, ...[...places.values()].flat().map(({ address }) => address), ...ends]
  const source = await asked.source(asked.maps, signal)
  const { host } = await paced(policeHost(source, asked.node, addresses), signal)
  const from = (target: Target) =>
    Object.fromEntries([...places].map(([name, vantages]): [string, ExposedFrom] => [name, exposure(source, host, target, vantages)]))
  const portOf = (one: Published): ExposedPort => {
    const last = one.low === one.high ? {} : { lastPort: one.high }
    const to = one.to === undefined ? 'elsewhere' : `${one.to.address}${one.to.port === undefined ? '' : `:${one.to.port}`}`
    const base = { port: one.low, ...last, protocol: protocolName(one.protocol), address: one.address ?? 'any', publishedTo: to }
    return { ...base, from: from(publishedTarget(one, own, links)) }
  }
  return { own, from, portOf }
}

/** Warnings about published ports that policies of host endpoints do not see; nothing costs much where nothing is published. */
export async function auditPublished(asked: AskedHost, { ruleset }: ForeignLook, signal: AbortSignal): Promise<readonly string[]> {
  const published = findPublished(ruleset)
  if (published.length === 0 || ![...asked.maps.get('HostEndpoint').values()].some(({ spec }) => spec.node === asked.node)) return []
  await asked.look(signal)
  const places = await findPlaces(asked, { from: 'world' }, signal)
  const { portOf } = await judgePublished(asked, published, places, signal)
  return uncovered(published.map(portOf))
}

/** Published ports that policies of host endpoints do not see. */
export function uncovered(ports: readonly ExposedPort[]): readonly string[] {
  const open = ports.filter(({ from }) => Object.values(from).some(({ because }) => because.includes(UNCOVERED)))
  const say = ({ protocol, port, publishedTo }: ExposedPort) => `${protocol} port ${port} is published to ${publishedTo}, and ${UNCOVERED}`
  const more = open.length > MOST_NAMED ? [`and ${open.length - MOST_NAMED} more published ports`] : []
  return [...open.slice(0, MOST_NAMED).map(say), ...more]
}

async function findPlaces(
  asked: AskedHost,
  { from }: ExposedRequest,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Vantage[]>> {
  const nodes = asked.maps.get('Node')
  const underlays = new Map([...nodes].map(([name, node]) => [name, underlayAddresses(node)] as const))
  const all = viewpoints(asked.maps, asked.node, underlays)
  const chosen: Readonly<Record<string, readonly Ip[]>> =
    from === undefined
      ? all
      : from === 'world' || from === 'hosts' || from === 'workloads'
        ? { [from]: all[from] }
        : { [from]: endsOf(readCidr(from)) }
  const links = await asked.linksTo(Object.values(chosen).flat(), signal)
  const { uplink } = asked.interfaces
  return new Map(
    Object.entries(chosen).map(([name, ips]) => [name, ips.map((address) => ({ address, link: links.get(address) ?? uplink }))] as const),
  )
}

function readCidr(text: string) {
  try {
    return parseCidrLoosely(text)
  } catch (cause) {
    throw new ValidationError(`${JSON.stringify(text)} is neither world, hosts, workloads nor an address or a prefix`, [], { cause })
  }
}

function publishedTarget({ protocol, low, address, to }: Published, own: readonly Ip[], links: ReadonlyMap<Ip, string>): Target {
  const end = to !== undefined && isIp(to.address) ? parseIp(to.address) : undefined
  const addresses =
    address === undefined || !isIp(address) ? own.filter((ip) => end === undefined || familyOf(ip) === familyOf(end)) : [parseIp(address)]
  // Where the rule does not say where it leads, it leads somewhere else.
  const destination = end ?? addresses[0]
  if (destination === undefined) return { protocol, port: low, addresses }
  const way = own.includes(destination) && end !== undefined ? {} : { link: links.get(destination) ?? '' }
  return { protocol, port: low, addresses, translated: { address: destination, port: to?.port ?? low, ...way } }
}

/** A listener on `::` takes IPv4 as well, where it does not say otherwise. */
function addressesFor({ family }: Socket, own: readonly Ip[]): readonly Ip[] {
  return own.filter((ip) => family === 6 || familyOf(ip) === 4)
}

/** Several processes may listen on one port; sockets of loopback are nobody's but the host's. */
function distinct(sockets: readonly Socket[]): readonly Socket[] {
  const reachable = sockets.filter(({ local }) => !isLoopback(local.address))
  return [...new Map(reachable.map((socket) => [`${socket.protocol} ${socket.local.address} ${socket.local.port}`, socket])).values()]
}

function isAny(ip: Ip): boolean {
  return ip === '0.0.0.0' || ip === '::'
}

function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

function protocolName(protocol: number): 'TCP' | 'UDP' {
  return protocol === 17 ? 'UDP' : 'TCP'
}
