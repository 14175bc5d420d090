import { parseSelector, type Selector } from './selector-parse.ts'

/** The label that every workload endpoint has with its namespace's name; host endpoints and global network sets have it not. */
export const NAMESPACE_LABEL = 'projectcalico.org/namespace'
/** The label that a workload endpoint has with its service account's name, where it has one. */
export const SERVICE_ACCOUNT_LABEL = 'projectcalico.org/serviceaccount'
/** What the labels of a namespace are called on its endpoints, which inherit them from the namespace's profile. */
export const NAMESPACE_PREFIX = 'pcns.'
/** What the labels of a service account are called on its endpoints. */
export const SERVICE_ACCOUNT_PREFIX = 'pcsa.'

/** What a policy says about the endpoints that it is for. */
export interface PolicyScope {
  readonly selector?: string | undefined
  readonly namespaceSelector?: string | undefined
  readonly serviceAccountSelector?: string | undefined
}

/** What a rule says about the endpoints and sets on one of its sides. */
export interface EntityScope {
  readonly selector?: string | undefined
  readonly notSelector?: string | undefined
  readonly namespaceSelector?: string | undefined
  readonly serviceAccounts?: { readonly names?: readonly string[] | undefined; readonly selector?: string | undefined } | undefined
}

/**
 * The one selector of the endpoints that a policy is for, over their own and inherited labels, as Calico's agents make it. A policy of
 * a namespace is for that namespace's endpoints only. In a global one `all()` means "in any namespace" as soon as there is a selector
 * of namespaces, "with any service account" as soon as there is one of those, also where it stands in `selector` itself.
 *
 * @throws {ValidationError} if one of the selectors does not parse
 */
export function policySelector(scope: PolicyScope, namespace: string | undefined): Selector {
  let whole = parseGiven(scope.selector)
  if (namespace !== undefined) whole = both(whole, inNamespace(namespace))
  const namespaces = parseGiven(scope.namespaceSelector)
  if (namespaces !== undefined && namespace === undefined) {
    whole = withAllAs(HAS_NAMESPACE, both(whole, withPrefix(NAMESPACE_PREFIX, namespaces)))
  }
  const accounts = parseGiven(scope.serviceAccountSelector)
  if (accounts !== undefined) {
    const joined = both(whole, withPrefix(SERVICE_ACCOUNT_PREFIX, accounts))
    whole = namespace === undefined ? withAllAs(HAS_SERVICE_ACCOUNT, joined) : joined
  }
  return whole ?? { op: 'all' }
}

/**
 * The one selector of what stands on one side of a rule, or undefined where the rule does not select by labels. In a policy of a
 * namespace a rule means that namespace unless it has a selector of namespaces; `notSelector` is not part of it, but is reason enough.
 *
 * @throws {ValidationError} if one of the selectors does not parse
 */
export function entitySelector(entity: EntityScope, namespace: string | undefined): Selector | undefined {
  const selected = joinAll([accountsOf(entity), parseGiven(entity.selector)])
  const namespaces = parseGiven(entity.namespaceSelector)
  if (namespaces !== undefined) return joinAll([spaces(namespaces), selected])
  const isScoped = namespace !== undefined && (selected !== undefined || (entity.notSelector ?? '') !== '')
  return isScoped ? joinAll([inNamespace(namespace), selected]) : selected
}

const HAS_NAMESPACE: Selector = { op: 'has', label: NAMESPACE_LABEL }
const HAS_SERVICE_ACCOUNT: Selector = { op: 'has', label: SERVICE_ACCOUNT_LABEL }

function parseGiven(text: string | undefined): Selector | undefined {
  return text === undefined || text === '' ? undefined : parseSelector(text)
}

function inNamespace(namespace: string): Selector {
  return { op: 'equal', label: NAMESPACE_LABEL, value: namespace }
}

/** `all()`: whatever is in a namespace; `global()`: whatever is in none. */
function spaces(selector: Selector): Selector {
  return mapLeaves(withPrefix(NAMESPACE_PREFIX, selector), (leaf) => {
    if (leaf.op === 'all') return HAS_NAMESPACE
    return leaf.op === 'global' ? { op: 'not', operand: HAS_NAMESPACE } : leaf
  })
}

/** Names and selector together: both must hold. */
function accountsOf({ serviceAccounts }: EntityScope): Selector | undefined {
  const chosen = parseGiven(serviceAccounts?.selector)
  const names = serviceAccounts?.names ?? []
  return joinAll([
    chosen && withPrefix(SERVICE_ACCOUNT_PREFIX, chosen),
    names.length === 0 ? undefined : { op: 'in', label: SERVICE_ACCOUNT_LABEL, values: new Set(names) },
  ])
}

function withPrefix(prefix: string, selector: Selector): Selector {
  return mapLeaves(selector, (leaf) => ('label' in leaf ? { ...leaf, label: `${prefix}${leaf.label}` } : leaf))
}

function withAllAs(meaning: Selector, selector: Selector): Selector {
  return mapLeaves(selector, (leaf) => (leaf.op === 'all' ? meaning : leaf))
}

function mapLeaves(selector: Selector, change: (leaf: Selector) => Selector): Selector {
  if (selector.op === 'not') return { op: 'not', operand: mapLeaves(selector.operand, change) }
  if (selector.op !== 'and' && selector.op !== 'or') return change(selector)
  return { op: selector.op, operands: selector.operands.map((operand) => mapLeaves(operand, change)) }
}

function both(first: Selector | undefined, second: Selector): Selector {
  return first === undefined ? second : { op: 'and', operands: [first, second] }
}

function joinAll(parts: readonly (Selector | undefined)[]): Selector | undefined {
  return parts.reduce<Selector | undefined>((whole, part) => (part === undefined ? whole : both(whole, part)), undefined)
}
