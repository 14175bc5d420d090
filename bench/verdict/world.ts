import { encodeResource } from '../../src/model/codec.ts'
import { resourceKey } from '../../src/model/keys.ts'
import type { AnyResource } from '../../src/model/kinds.ts'
import type { GlobalNetworkPolicy } from '../../src/model/network-policy.ts'
import { prepareCreate } from '../../src/model/prepare.ts'
import type { Rule } from '../../src/model/rule.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import type { Write } from '../../src/store/store.ts'
import { aGlobalPolicy } from '../../test/support/policies.ts'
import { asResources, makeWorld } from '../newconn/world.ts'
import { endpointKey, endpointText } from '../synthetic-endpoints.ts'

/** How large the world is in which a verdict is waited for. */
export interface VerdictSize {
  /** Of 20 rules in each direction; 30 of them for each endpoint. */
  readonly policies: number
  /** Of the set that a workload joins. */
  readonly members: number
  /** Workloads of other hosts that are no members yet. */
  readonly joining: number
}

/** The label of the workload to which probes are sent: it is under the first list of policies. */
export const PROBED_LIST = 'l0'
/** To this UDP port members may send. */
export const MEMBER_PORT = 7000
/** Who sends what a changed policy comes to allow. */
export const STRANGER = '198.18.0.1'

const BATCH = 128
const NOW = new Date('2026-11-21T10:11:12Z')

/** All that is in the store beside what the daemon itself writes: policies, what their rules name, endpoints. */
export function* worldWrites({ policies, members, joining }: VerdictSize): Generator<readonly Write[]> {
  const resources: AnyResource[] = [...asResources(worldOf(policies), 'mgy'), memberPolicy()]
  const writes = resources.map(writeOf)
  for (let start = 0; start < writes.length; start += BATCH) yield writes.slice(start, start + BATCH)
  yield* endpointWrites(members, 0)
  yield* endpointWrites(joining, 1, members)
}

/** So many synthetic endpoints, `version` of them being the label that makes those with 0 members. */
export function* endpointWrites(count: number, version: number, first = 0): Generator<readonly Write[]> {
  for (let start = 0; start < count; start += BATCH) {
    yield Array.from({ length: Math.min(BATCH, count - start) }, (_, i) => endpointWrite(first + start + i, version))
  }
}

/** One endpoint of another host, a member with version 0. */
export function endpointWrite(index: number, version: number): Write {
  return { put: endpointKey(index), value: endpointText(index, version) }
}

/** The policy in the middle of the first list, with its last rule of what comes in allowing the stranger to this port. */
export function changedPolicy(policies: number, port: number): Write {
  const world = worldOf(policies)
  const list = world.lists[0] ?? []
  const index = list[list.length >> 1] ?? 0
  const policy = asResources(world, 'mgy').find(
    (one): one is GlobalNetworkPolicy => one.kind === 'GlobalNetworkPolicy' && one.metadata.name === `p${index}`,
  )
  if (policy === undefined) throw new Error(`the world has no policy p${index}`)
  const source = { nets: [parseCidr(`${STRANGER}/32`)] }
  const allow: Rule = { action: 'Allow', protocol: 'UDP', source, destination: { ports: [port] } }
  return writeOf({ ...policy, spec: { ...policy.spec, ingress: (policy.spec.ingress ?? []).with(-1, allow) } })
}

const made = new Map<number, ReturnType<typeof makeWorld>>()

function worldOf(policies: number): ReturnType<typeof makeWorld> {
  const known = made.get(policies) ?? makeWorld({ policies, policiesOfEndpoint: 30, endpoints: 100 })
  made.set(policies, known)
  return known
}

/** Before all others, so that no other policy stands in the way. */
export function memberPolicy(): GlobalNetworkPolicy {
  const ingress: readonly Rule[] = [
    {
      action: 'Allow',
      protocol: 'UDP',
      source: { selector: 'example.org/version == "v0"' },
      destination: { ports: [MEMBER_PORT] },
    },
  ]
  return aGlobalPolicy('members', { order: -1, selector: `list == "${PROBED_LIST}"`, types: ['Ingress'], ingress })
}

/** A resource as it is stored. */
export function writeOf(resource: AnyResource): Write {
  const { resourceVersion: _, ...given } = resource.metadata
  // A workload endpoint's name follows from what it says.
  const metadata = resource.kind === 'WorkloadEndpoint' ? { ...given, name: '' } : given
  const stored = prepareCreate({ ...resource, metadata } as AnyResource, NOW, '00000000-0000-4000-8000-000000000000')
  return { put: resourceKey(stored.kind, stored.metadata.name, stored.metadata.namespace), value: encodeResource(stored) }
}
