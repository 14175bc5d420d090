import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { type DeepReadonly, integerField } from './fields.ts'
import { checkName } from './metadata.ts'
import type { Resource } from './resource.ts'
import { later } from './tags.ts'

const CLASSES = ['Agent', 'BGP', 'Routes'] as const

/** The spec of a CalicoNodeStatus: what one host shall tell of itself, and how often. */
export const calicoNodeStatusSpecSchema = z.object({
  node: later('Name of the Node that tells.', z.string()),
  classes: later('What it tells: the state of the BGP daemons, of their sessions, of the routes.', z.array(z.enum(CLASSES))),
  updatePeriodSeconds: later('Seconds between two reports, up to a day; 0 for none.', integerField(0, 86_400)),
})

const text = (description: string) => later(description, z.string()).optional()
const count = (description: string) => later(description, z.number().int()).optional()

const daemon = z.object({
  state: text('`Ready` or `NotReady`.'),
  version: text('Version of the BGP daemon.'),
  routerID: text('Router id, an IPv4 address.'),
  lastBootTime: text('When the BGP daemon started.'),
  lastReconfigurationTime: text('When the BGP daemon last read its configuration.'),
})

const peers = z.array(
  z.object({
    peerIP: text('Address of the peer.'),
    type: text('`NodeMesh`, `NodePeer` or `GlobalPeer`.'),
    state: text('State of the session (RFC 4271, section 8.2.2).'),
    since: text('Since when it is in that state.'),
  }),
)

const routes = z.array(
  z.object({
    type: text('`FIB`: used for forwarding; `RIB`: known only.'),
    destination: text('Prefix of the route.'),
    gateway: text('Next hop, or `N/A`.'),
    interface: text('Interface of the route.'),
    learnedFrom: z
      .object({
        sourceType: text('`Kernel`, `Static`, `Direct`, `NodeMesh` or `BGPPeer`.'),
        peerIP: text('Peer that told the route.'),
      })
      .optional(),
  }),
)

/** What the host told last. Its own daemon writes it, so nothing of it is required. */
export const calicoNodeStatusStatusSchema = z.object({
  lastUpdated: text('When the host told this (RFC 3339).'),
  agent: z.object({ birdV4: daemon.optional(), birdV6: daemon.optional() }).optional(),
  bgp: z
    .object({
      numberEstablishedV4: count('Established sessions over IPv4.'),
      numberNotEstablishedV4: count('Other sessions over IPv4.'),
      numberEstablishedV6: count('Established sessions over IPv6.'),
      numberNotEstablishedV6: count('Other sessions over IPv6.'),
      peersV4: peers.optional(),
      peersV6: peers.optional(),
    })
    .optional(),
  routes: z.object({ routesV4: routes.optional(), routesV6: routes.optional() }).optional(),
})

export type CalicoNodeStatusSpec = DeepReadonly<z.infer<typeof calicoNodeStatusSpecSchema>>
export type CalicoNodeStatusStatus = DeepReadonly<z.infer<typeof calicoNodeStatusStatusSchema>>

/** What one host tells of its BGP daemon, its sessions and its routes. */
export type CalicoNodeStatus = Resource<'CalicoNodeStatus', CalicoNodeStatusSpec, CalicoNodeStatusStatus>

/** What is wrong with a CalicoNodeStatus beyond the shape of its fields. */
export function checkCalicoNodeStatus({ spec }: CalicoNodeStatus): readonly Issue[] {
  const issues: Issue[] = []
  const message = spec.node === undefined ? undefined : checkName(spec.node)
  if (message !== undefined) issues.push({ path: 'spec.node', message })
  if (spec.classes?.length === 0) issues.push({ path: 'spec.classes', message: `is empty: give one or more of ${CLASSES.join(', ')}` })
  if (new Set(spec.classes).size !== (spec.classes ?? []).length) issues.push({ path: 'spec.classes', message: 'names a class twice' })
  return issues
}
