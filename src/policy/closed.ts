import type { HostEndpoint } from '../model/host-endpoint.ts'
import type { Selector } from '../model/selector-parse.ts'
import type { Reach } from '../model/unreadable.ts'
import { parseIp } from '../net/ip.ts'
import type { LocalEndpoint } from './evaluate.ts'
import { readRule } from './match-rule.ts'
import type { Policy } from './policies.ts'
import type { TierPolicies } from './tiers.ts'

/** The name of no tier: policies in it close what they select. */
const CLOSED_TIER = ''
const CLOSED_NAME = 'unreadable'
const DENY = [readRule({ action: 'Deny' }, undefined)]

/**
 * What is closed because something that would have governed it does not parse and no version that does is known. Of a host endpoint
 * failsafe ports stay open, and what hosts of the network need of each other.
 */
export class ClosedEndpoints {
  readonly #tiers = new Set<string>()
  readonly #profiles = new Set<string>()
  readonly #endpoints = new Set<string>()

  /** Takes note of a tier, a profile or a host endpoint (by its key); gives whether that changed. */
  set(of: 'tier' | 'profile' | 'endpoint', name: string, isClosed: boolean): boolean {
    const names = { tier: this.#tiers, profile: this.#profiles, endpoint: this.#endpoints }[of]
    if (isClosed === names.has(name)) return false
    if (isClosed) names.add(name)
    else names.delete(name)
    return true
  }

  /** The endpoint as it is, or with rules that deny everything. */
  applyTo(endpoint: LocalEndpoint): LocalEndpoint {
    const closing = endpoint.tiers.find(({ name }) => name === CLOSED_TIER)
    // What closes it is named then.
    if (closing !== undefined) return { id: endpoint.id, tiers: [closing], profiles: [] }
    const isClosed =
      this.#endpoints.has(endpoint.id) ||
      endpoint.tiers.some(({ name }) => this.#tiers.has(name)) ||
      endpoint.profiles.some(({ name }) => this.#profiles.has(name))
    return isClosed ? { id: endpoint.id, tiers: CLOSED, profiles: [] } : endpoint
  }
}

/** An endpoint that is closed, and why: who explains it shows the reason. */
export function closedBecause(id: string, reason: string): LocalEndpoint {
  const key = `${BECAUSE}${reason}`
  const policies = [{ ...CLOSING, key, enforcedKey: key, selector: { op: 'all' } as const }]
  return { id, tiers: [{ name: CLOSED_TIER, defaultAction: 'Deny', policies }], profiles: [] }
}

/** Why, if that is the key of what closes an endpoint. */
export function reasonOfClosing(policyKey: string): string | undefined {
  return policyKey.startsWith(BECAUSE) ? policyKey.slice(BECAUSE.length) : undefined
}

/** No name of a policy begins so. */
const BECAUSE = 'closed: '

/** What does not parse and closes endpoints: a policy by its name; without one a tier, a profile or the endpoint itself. */
export interface Unreadable {
  readonly kind?: string
  readonly namespace?: string
  readonly name?: string
}

/** For what a policy stands that closes what it selects; undefined: it is one itself. */
export function closedBy({ key, tier }: Pick<Policy, 'key' | 'tier'>): Unreadable | undefined {
  if (tier !== CLOSED_TIER) return undefined
  const [name = '', namespace = '', kind] = reasonOfClosing(key) === undefined ? key.split('/') : []
  return kind === undefined ? {} : { kind, ...(namespace === '' ? {} : { namespace }), name }
}

/** What stands for a policy that does not parse. */
export function closingPolicy(key: string, selector: Selector): Policy {
  return { ...CLOSING, key, selector, enforcedKey: key }
}

/** What stands for a host endpoint that does not parse. */
export function closedHostEndpoint(name: string, { node, interfaceName, expectedIps }: Extract<Reach, { of: 'host' }>): HostEndpoint {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'HostEndpoint',
    metadata: { name },
    spec: { node, ...(interfaceName === undefined ? {} : { interfaceName }), expectedIPs: expectedIps.map(parseIp) },
  }
}

const CLOSING: Omit<Policy, 'key' | 'selector' | 'enforcedKey'> = {
  kind: 'GlobalNetworkPolicy',
  namespace: undefined,
  name: CLOSED_NAME,
  tier: CLOSED_TIER,
  order: Number.NEGATIVE_INFINITY,
  stage: 'normal',
  appliesOnForward: true,
  isStaged: false,
  logsAllowed: false,
  rules: { ingress: DENY, egress: DENY },
}
const CLOSED: readonly TierPolicies[] = [
  {
    name: CLOSED_TIER,
    defaultAction: 'Deny',
    policies: [{ ...CLOSING, key: CLOSED_NAME, enforcedKey: CLOSED_NAME, selector: { op: 'all' } }],
  },
]
