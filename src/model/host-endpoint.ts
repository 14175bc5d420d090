import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { checkEndpointPorts, checkInterfaceName } from './endpoint-check.ts'
import { type DeepReadonly, integerField, ipField, protocolField } from './fields.ts'
import { checkName } from './metadata.ts'
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

/** What is wrong with a HostEndpoint beyond the shape of its fields. */
export function checkHostEndpoint({ spec }: HostEndpoint): readonly Issue[] {
  const { node, interfaceName, expectedIPs, profiles } = spec
  const issues: Issue[] = []
  const add = (path: string, message: string | undefined) => message !== undefined && issues.push({ path, message })
  add('spec.node', node === undefined ? 'is required (the name of the host)' : checkName(node))
  if (interfaceName === undefined && !expectedIPs?.length) {
    add('spec', 'needs interfaceName (the interface, or "*" for all) or expectedIPs (its addresses)')
  }
  if (interfaceName !== undefined && interfaceName !== '*') add('spec.interfaceName', checkInterfaceName(interfaceName))
  for (const [index, profile] of (profiles ?? []).entries()) if (profile !== undefined) add(`spec.profiles[${index}]`, checkName(profile))
  return [...issues, ...checkEndpointPorts(spec.ports)]
}
