import * as z from 'zod'
import { type DeepReadonly, integerField, ipField, protocolField } from './fields.ts'
import type { Resource } from './resource.ts'
import { enforced } from './tags.ts'

/** The spec of a HostEndpoint: one interface of one host (or all), to which policies apply from the moment it exists. */
export const hostEndpointSpecSchema = z.object({
  node: enforced('The host.', z.string()).optional(),
  interfaceName: enforced('The interface; `*` for all that have no host endpoint of their own.', z.string()).optional(),
  expectedIPs: enforced(
    'Addresses by which selectors know the endpoint, and by which the interface is found where none is named.',
    z.array(ipField),
  ).optional(),
  profiles: enforced('Profiles, in this order, whose rules hold where no policy applies.', z.array(z.string())).optional(),
  ports: z
    .array(
      z.object({
        name: enforced('The name by which rules know the port.', z.string()),
        protocol: enforced('TCP, UDP or SCTP.', protocolField),
        port: enforced('The port, 1 to 65535.', integerField(0, 65_535)),
      }),
    )
    .optional(),
})

export type HostEndpointSpec = DeepReadonly<z.infer<typeof hostEndpointSpecSchema>>

/** Makes a host's own traffic subject to policy. */
export type HostEndpoint = Resource<'HostEndpoint', HostEndpointSpec>
