import { isIp } from '../net/ip.ts'
import { parseJson } from './json.ts'
import type { ModelKind } from './kinds.ts'
import { policySelector } from './scoped-selector.ts'
import type { Selector } from './selector-parse.ts'
import { isObject, type JsonObject } from './shape.ts'

/** What a resource that does not parse would have governed, as far as that can still be told. */
export type Reach =
  | { readonly of: 'endpoints'; readonly selector: Selector }
  | { readonly of: 'tier' | 'profile'; readonly name: string }
  | {
      readonly of: 'host'
      readonly node: string
      /** `*` for all interfaces; absent where only addresses tell which interface it is. */
      readonly interfaceName?: string
      readonly expectedIps: readonly string[]
    }

/** The kinds that decide what traffic is allowed: without a version that parses, what they govern is closed. */
const GOVERNING: ReadonlySet<ModelKind> = new Set<ModelKind>(['GlobalNetworkPolicy', 'NetworkPolicy', 'Tier', 'Profile', 'HostEndpoint'])

/** Whether resources of this kind decide what traffic is allowed. */
export function isGoverning(kind: ModelKind): boolean {
  return GOVERNING.has(kind)
}

/**
 * What the text of a resource that does not parse says of the endpoints that it would have governed; undefined where even that
 * can't be read. The id is as in the view. Wider rather than narrower: a member that narrows and can't be read makes the whole unknown.
 */
export function readReach(kind: ModelKind, id: string, text: string): Reach | undefined {
  const name = id.slice(id.lastIndexOf('/') + 1)
  if (kind === 'Tier') return { of: 'tier', name }
  if (kind === 'Profile') return { of: 'profile', name }
  const spec = specOf(text)
  if (spec === undefined) return undefined
  if (kind === 'HostEndpoint') return readHost(spec)
  if (kind === 'GlobalNetworkPolicy') return readPolicy(spec, undefined)
  return kind === 'NetworkPolicy' ? readPolicy(spec, id.slice(0, id.indexOf('/'))) : undefined
}

function specOf(text: string): JsonObject | undefined {
  try {
    const raw = parseJson(text)
    return isObject(raw) && isObject(raw['spec']) ? raw['spec'] : undefined
  } catch {
    return undefined
  }
}

function readPolicy(spec: JsonObject, namespace: string | undefined): Reach | undefined {
  const { selector, namespaceSelector, serviceAccountSelector } = spec
  if (!isTextOrAbsent(selector) || !isTextOrAbsent(namespaceSelector) || !isTextOrAbsent(serviceAccountSelector)) return undefined
  try {
    const scope = {
      selector: selector ?? '',
      namespaceSelector: namespaceSelector ?? '',
      serviceAccountSelector: serviceAccountSelector ?? '',
    }
    return { of: 'endpoints', selector: policySelector(scope, namespace) }
  } catch {
    return undefined
  }
}

function readHost({ node, interfaceName, expectedIPs }: JsonObject): Reach | undefined {
  if (typeof node !== 'string' || node === '' || !isTextOrAbsent(interfaceName)) return undefined
  const expectedIps = Array.isArray(expectedIPs) ? expectedIPs.filter((ip): ip is string => typeof ip === 'string' && isIp(ip)) : []
  if (interfaceName) return { of: 'host', node, interfaceName, expectedIps }
  return expectedIps.length > 0 ? { of: 'host', node, expectedIps } : undefined
}

function isTextOrAbsent(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === 'string'
}
