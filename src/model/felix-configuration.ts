import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { FELIX_FILTERING } from './felix/filtering.ts'
import { FELIX_FOREIGN } from './felix/foreign.ts'
import { FELIX_NETWORK } from './felix/network.ts'
import { FELIX_ORDER } from './felix/order.ts'
import { FELIX_RUNNING } from './felix/running.ts'
import type { DeepReadonly } from './fields.ts'
import { isDnsLabel } from './metadata.ts'
import type { Resource } from './resource.ts'
import { isObject } from './shape.ts'
import { soundEntries } from './sound-parts.ts'

const fields = { ...FELIX_NETWORK, ...FELIX_FILTERING, ...FELIX_RUNNING, ...FELIX_FOREIGN }

/** The spec of FelixConfiguration `default`, `node.<name>` or one with a nodeSelector: how each host's agent works. */
export const felixConfigurationSpecSchema = z.object(inOrder(fields, FELIX_ORDER))

export type FelixConfigurationSpec = DeepReadonly<z.infer<typeof felixConfigurationSpecSchema>>

/** Settings of the hosts' agents, under Calico's names. */
export type FelixConfiguration = Resource<'FelixConfiguration', FelixConfigurationSpec>

/** What is wrong with a FelixConfiguration beyond the shape of its fields. */
export function checkFelixConfiguration({ metadata, spec }: FelixConfiguration): readonly Issue[] {
  const issues: Issue[] = []
  const isFixed = metadata.name === 'default' || metadata.name.startsWith('node.')
  if (isFixed && spec.nodeSelector !== undefined) {
    issues.push({
      path: 'spec.nodeSelector',
      message: `can't be in ${JSON.stringify(metadata.name)}, whose name already says for which hosts it is`,
    })
  }
  return [...issues, ...checkTables(spec), ...checkFailsafes(spec), ...checkForCalico(spec)]
}

/** Of the tables 253 to 255, which are the kernel's own, Calico's agent takes none, also where a range holds them. */
function checkTables({ routeTableRange, routeTableRanges }: FelixConfigurationSpec): readonly Issue[] {
  const issues: Issue[] = []
  if (routeTableRanges !== undefined && routeTableRange !== undefined) {
    issues.push({ path: 'spec.routeTableRange', message: 'is the old form of routeTableRanges: give one of the two' })
  }
  const add = (path: string, { min, max }: { readonly min: number; readonly max: number }, last: number) => {
    if (min >= 1 && max <= last && min <= max) return
    issues.push({ path: `spec.${path}`, message: `${min} to ${max} is no range of routing tables (from 1 to ${last})` })
  }
  if (isRange(routeTableRange)) add('routeTableRange', routeTableRange, 250)
  const ranges = soundEntries(routeTableRanges).filter(([, range]) => isRange(range))
  for (const [index, range] of ranges) add(`routeTableRanges[${index}]`, range, 0xffff_ffff)
  if (ranges.reduce((sum, [, { min, max }]) => sum + max - min + 1, 0) > 65_535) {
    issues.push({ path: 'spec.routeTableRanges', message: 'names more than 65535 tables' })
  }
  return issues
}

/** Whether both ends could be read. */
function isRange(
  range: { readonly min: number; readonly max: number } | undefined,
): range is { readonly min: number; readonly max: number } {
  return isObject(range) && range.min !== undefined && range.max !== undefined
}

function checkFailsafes(spec: FelixConfigurationSpec): readonly Issue[] {
  return (['failsafeInboundHostPorts', 'failsafeOutboundHostPorts'] as const).flatMap((field) =>
    soundEntries(spec[field]).flatMap(([index, { protocol = 'tcp' }]) => {
      if (['tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) return []
      return [{ path: `spec.${field}[${index}].protocol`, message: `${JSON.stringify(protocol)} is not one of tcp, udp, sctp` }]
    }),
  )
}

/** Rules of what Calico reads: without them its agent would take the whole resource for missing. */
function checkForCalico(spec: FelixConfigurationSpec): readonly Issue[] {
  const issues: Issue[] = []
  const add = (field: string, message: string) => issues.push({ path: `spec.${field}`, message })
  const { kubeNodePortRanges = [], openstackRegion, healthTimeoutOverrides } = spec
  if (kubeNodePortRanges.length > 7) add('kubeNodePortRanges', `has ${kubeNodePortRanges.length} items, 7 are allowed`)
  if (openstackRegion !== undefined && !(isDnsLabel(openstackRegion) && openstackRegion.length <= 46)) {
    add('openstackRegion', `${JSON.stringify(openstackRegion)} is not a region (lower-case letters, digits and inner "-", up to 46)`)
  }
  for (const [index, address] of soundEntries(spec.externalNodesList)) {
    if (address.includes(':')) add(`externalNodesList[${index}]`, `${address} is not an IPv4 address or prefix`)
  }
  for (const [index, { timeout }] of soundEntries(healthTimeoutOverrides)) {
    if (timeout?.startsWith('-')) add(`healthTimeoutOverrides[${index}].timeout`, `${JSON.stringify(timeout)} is less than 0`)
  }
  return issues
}

/** The members in this order; those that it does not name come last. */
function inOrder<Shape extends object>(shape: Shape, order: readonly string[]): Shape {
  const rank = new Map(order.map((name, index) => [name, index]))
  const last = order.length
  return Object.fromEntries(Object.entries(shape).sort(([a], [b]) => (rank.get(a) ?? last) - (rank.get(b) ?? last))) as Shape
}
