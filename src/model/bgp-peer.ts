import * as z from 'zod'
import { type Issue, ValidationError } from '../errors.ts'
import { type Family, familyOf, type Ip, isIp, parseIp } from '../net/ip.ts'
import {
  asNumberField,
  checkedText,
  type DeepReadonly,
  defaultsTo,
  durationField,
  integerField,
  ipField,
  selectorField,
  zeroIsAbsent,
} from './fields.ts'
import { checkName } from './metadata.ts'
import type { Resource } from './resource.ts'
import { secretPasswordField } from './secret.ts'
import { soundEntries } from './sound-parts.ts'
import { later } from './tags.ts'

/** The spec of a BGPPeer: sessions between hosts of the network and routers, or among hosts. */
export const bgpPeerSpecSchema = z.object({
  node: later('The one host that has this peering; with neither this nor nodeSelector every host has it.', z.string()).optional(),
  nodeSelector: later('Hosts, by the labels of their Nodes, that have this peering.', selectorField).optional(),
  peerIP: later(
    'Address of the peer, with a port where it is not 179: `192.0.2.1:1790`, `[2001:db8::1]:1790`.',
    checkedText(parsePeerAddress),
  ).optional(),
  asNumber: later('AS number of the peer.', zeroIsAbsent(asNumberField)).optional(),
  localASNumber: later("AS number that the hosts show to this peer in place of their Node's.", asNumberField).optional(),
  peerSelector: later('Hosts to peer with; their addresses and AS numbers come from their Nodes.', selectorField).optional(),
  keepOriginalNextHop: later('Leave the next hop of routes as it is: the old form of nextHopMode.', zeroIsAbsent(z.boolean())).optional(),
  nextHopMode: later(
    'Which next hop routes get: what BGP says (Auto), the host itself (Self), or the one that they have (Keep).',
    defaultsTo('Auto', z.enum(['Auto', 'Self', 'Keep'])),
  ).optional(),
  password: secretPasswordField.optional(),
  sourceAddress: later(
    "Whether sessions come from the host's own address, or from the one that the kernel chooses (None).",
    defaultsTo('UseNodeIP', z.enum(['UseNodeIP', 'None'])),
  ).optional(),
  maxRestartTime: later('How long routes are kept while the peer restarts (RFC 4724).', defaultsTo('120s', durationField)).optional(),
  keepaliveTime: later('Time between keepalive messages.', durationField).optional(),
  numAllowedLocalASNumbers: later(
    'How often our own AS number may stand in the path of a route from this peer.',
    integerField(0, 2_147_483_647),
  ).optional(),
  ttlSecurity: later('Most hops to the peer: packets that came further are dropped (RFC 5082).', integerField(0, 255)).optional(),
  reachableBy: later('Gateway to the peer: the hosts get a static route to it.', ipField).optional(),
  filters: later('BGPFilters for the routes of this peer, in this order.', z.array(z.string())).optional(),
  localWorkloadSelector: later('Workloads of the host itself to peer with, by their labels.', selectorField).optional(),
  reversePeering: later(
    'Whether hosts that peerSelector names get their side of the session by themselves.',
    defaultsTo('Auto', z.enum(['Auto', 'Manual'])),
  ).optional(),
})

export type BGPPeerSpec = DeepReadonly<z.infer<typeof bgpPeerSpecSchema>>

/** BGP sessions of some hosts with a router, with other hosts or with workloads. */
export type BGPPeer = Resource<'BGPPeer', BGPPeerSpec>

/**
 * Parses `address`, `IPv4:port` or `[IPv6]:port`; the port is undefined where none is given.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parsePeerAddress(text: string): { readonly ip: Ip; readonly port: number | undefined } {
  if (isIp(text)) return { ip: parseIp(text), port: undefined }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const ip = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (isIp(ip) && familyOf(ip) === (match?.[1] === undefined ? 4 : 6) && port >= 1 && port <= 65_535) return { ip: parseIp(ip), port }
  throw new ValidationError(`not a peer's address (192.0.2.1, 192.0.2.1:1790, [2001:db8::1]:1790): ${JSON.stringify(text)}`)
}

/** What is wrong with a BGPPeer beyond the shape of its fields. */
export function checkBgpPeer({ spec }: BGPPeer): readonly Issue[] {
  return [...checkWho(spec), ...checkAsNumber(spec), ...checkRoutes(spec), ...checkNames(spec)]
}

/** That it says once which hosts have the peering, and once with whom. */
function checkWho(spec: BGPPeerSpec): readonly Issue[] {
  const issues: Issue[] = []
  const refuse = (field: keyof BGPPeerSpec, other: keyof BGPPeerSpec) => {
    if (spec[field] !== undefined && spec[other] !== undefined) {
      issues.push({ path: `spec.${field}`, message: `can't stand beside ${other}: give one of the two` })
    }
  }
  refuse('nodeSelector', 'node')
  refuse('peerSelector', 'peerIP')
  refuse('localWorkloadSelector', 'peerIP')
  refuse('localWorkloadSelector', 'peerSelector')
  if (spec.peerIP === undefined && spec.peerSelector === undefined && spec.localWorkloadSelector === undefined) {
    issues.push({ path: 'spec.peerIP', message: 'is required, unless peerSelector or localWorkloadSelector says with whom to peer' })
  }
  return issues
}

function checkAsNumber({ asNumber: given, peerIP, peerSelector, localWorkloadSelector }: BGPPeerSpec): readonly Issue[] {
  const asNumber = given ?? 0
  const path = 'spec.asNumber'
  if (asNumber !== 0 && peerSelector !== undefined) {
    return [{ path, message: `${asNumber} beside peerSelector: the AS numbers come from the Nodes that it selects` }]
  }
  const asking = peerIP !== undefined ? 'peerIP' : localWorkloadSelector !== undefined ? 'localWorkloadSelector' : undefined
  return asNumber === 0 && asking !== undefined ? [{ path, message: `is required with ${asking}` }] : []
}

function checkRoutes({ keepOriginalNextHop, nextHopMode, reachableBy, peerIP }: BGPPeerSpec): readonly Issue[] {
  const issues: Issue[] = []
  if (keepOriginalNextHop === true && nextHopMode !== undefined) {
    issues.push({ path: 'spec.keepOriginalNextHop', message: 'is the old form of nextHopMode: give one of the two' })
  }
  if (reachableBy !== undefined && peerIP === undefined) issues.push({ path: 'spec.reachableBy', message: 'needs peerIP' })
  // What nobody here acts on may be of any type where it was stored.
  if (reachableBy !== undefined && peerIP !== undefined && familyOf(String(reachableBy)) !== familyOfPeer(String(peerIP))) {
    issues.push({ path: 'spec.reachableBy', message: `${reachableBy} and peerIP ${peerIP} are of different IP versions` })
  }
  return issues
}

/** Of an address with a port: with brackets, or more than one colon, it is IPv6. */
function familyOfPeer(peerIP: string): Family {
  return peerIP.split(':').length > 2 ? 6 : 4
}

function checkNames(spec: BGPPeerSpec): readonly Issue[] {
  const named = [['node', spec.node] as const, ...soundEntries(spec.filters).map(([index, name]) => [`filters[${index}]`, name] as const)]
  return named.flatMap(([field, name]) => {
    const message = name === undefined ? undefined : checkName(name)
    return message === undefined ? [] : [{ path: `spec.${field}`, message }]
  })
}
