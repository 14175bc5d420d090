import type { Issue } from '../errors.ts'
import { familyOf } from '../net/ip.ts'
import { parseProtocol } from '../net/port.ts'
import { doubles } from './doubles.ts'
import { checkAnnotationKey } from './metadata.ts'
import { type EntityRule, parseRulePort, type Rule, type RulePort } from './rule.ts'
import { isObject } from './shape.ts'

/** Whose rules they are; a service can only be the far side of a policy's rule. */
export type RuleOwner = { readonly direction: 'ingress' | 'egress'; readonly kind: 'policy' | 'global policy' | 'profile' }

const MAX_RULES = 1024
const MAX_SELECTOR = 1024
const MAX_NETS = 256
const MAX_PORTS = 50
const MAX_HTTP = 20

/** Protocols whose packets have ports: TCP, UDP, SCTP. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132])

/**
 * What is wrong with a list of rules beyond the shape of each field. Tells the faults of rules of which some fields are wrong already:
 * what those fields say is not judged again.
 */
export function checkRules(rules: readonly Rule[] | undefined, path: string, owner: RuleOwner): readonly Issue[] {
  const given = rules ?? []
  const tooMany = given.length > MAX_RULES ? [{ path, message: `has ${given.length} rules, ${MAX_RULES} are allowed` }] : []
  return [...tooMany, ...given.flatMap((rule, index) => (isObject(rule) ? checkRule(rule, `${path}[${index}]`, owner) : []))]
}

/** What is wrong with a selector beyond its syntax. */
export function checkSelectorLength(selector: string | undefined, path: string): readonly Issue[] {
  if (selector === undefined || selector.length <= MAX_SELECTOR) return []
  return [{ path, message: `the selector has ${selector.length} characters, ${MAX_SELECTOR} are allowed` }]
}

function checkRule(rule: Rule, path: string, owner: RuleOwner): readonly Issue[] {
  const notes = Object.keys(rule.metadata?.annotations ?? {})
  return [
    ...checkIcmp(rule, path),
    ...checkFamilies(rule, path),
    ...SIDES.flatMap((side) => checkEntity(rule, side, path)),
    ...checkServices(rule, path, owner),
    ...checkHttp(rule, path, owner),
    ...notes.flatMap((key) => issueAt(`${path}.metadata.annotations.${key}`, checkAnnotationKey(key))),
  ]
}

const SIDES = ['source', 'destination'] as const

function checkIcmp(rule: Rule, path: string): readonly Issue[] {
  const protocol = numberOf(rule.protocol)
  const negated = numberOf(rule.notProtocol)
  const issues: Issue[] = []
  if (rule.icmp !== undefined && (rule.protocol === undefined || (protocol !== undefined && protocol !== 1 && protocol !== 58))) {
    issues.push({ path: `${path}.icmp`, message: `needs protocol ICMP or ICMPv6${notThis(rule.protocol)}` })
  }
  for (const name of ['icmp', 'notICMP'] as const) {
    const { code, type } = rule[name] ?? {}
    if (code !== undefined && type === undefined) issues.push({ path: `${path}.${name}.code`, message: `the code ${code} needs a type` })
  }
  const { ipVersion } = rule
  if (ipVersion === 6 && (protocol === 1 || negated === 1))
    issues.push({ path: `${path}.ipVersion`, message: 'must be 4 with protocol ICMP, not 6' })
  if (ipVersion === 4 && (protocol === 58 || negated === 58)) {
    issues.push({ path: `${path}.ipVersion`, message: 'must be 6 with protocol ICMPv6, not 4' })
  }
  return issues
}

/** That all prefixes of a rule are of one IP version, and of the rule's; of each list the first that is not is told. */
function checkFamilies({ ipVersion, source, destination }: Rule, path: string): readonly Issue[] {
  const lists = [
    ['source.nets', source?.nets],
    ['source.notNets', source?.notNets],
    ['destination.nets', destination?.nets],
    ['destination.notNets', destination?.notNets],
  ] as const
  const all = lists.flatMap(([place, nets]) => texts(nets).map((net) => ({ place, net, family: familyOf(net) })))
  const [first] = all
  return lists.flatMap(([place]) => {
    const family = ipVersion ?? first?.family
    const other = all.find((one) => one.place === place && one.family !== family)
    if (other === undefined || first === undefined || (family !== 4 && family !== 6)) return []
    const beside = first.place === place ? first.net : `${first.net} in ${first.place}`
    const message =
      ipVersion === undefined
        ? `${other.net} is of another IP version than ${beside}: make a rule for each IP version`
        : `${other.net} is of IPv${other.family}, but the rule's ipVersion is ${ipVersion}`
    return [{ path: `${path}.${place}`, message }]
  })
}

function checkEntity(rule: Rule, side: (typeof SIDES)[number], rulePath: string): readonly Issue[] {
  const entity = rule[side]
  if (!isObject(entity)) return []
  const path = `${rulePath}.${side}`
  const allOf = texts(entity.notNets).flatMap((net, index) => (/\/0$/.test(net) ? [{ net, index }] : []))
  return [
    ...(['selector', 'notSelector', 'namespaceSelector'] as const).flatMap((name) => checkSelectorLength(entity[name], `${path}.${name}`)),
    ...checkSelectorLength(entity.serviceAccounts?.selector, `${path}.serviceAccounts.selector`),
    ...(['nets', 'notNets'] as const).flatMap((name) => checkCount(entity[name], MAX_NETS, 'prefixes', `${path}.${name}`)),
    ...allOf.map(({ net, index }) => ({ path: `${path}.notNets[${index}]`, message: `${net} leaves no address that could match` })),
    ...(['ports', 'notPorts'] as const).flatMap((name) => checkPorts(rule.protocol, entity[name], `${path}.${name}`)),
  ]
}

function checkPorts(protocol: Rule['protocol'], ports: EntityRule['ports'], path: string): readonly Issue[] {
  if (!ports?.length) return []
  const number = numberOf(protocol)
  const issues = [...checkCount(ports, MAX_PORTS, 'ports', path)]
  if (number !== undefined && !WITH_PORTS.has(number)) {
    issues.push({ path, message: `need protocol TCP, UDP or SCTP${notThis(protocol)}` })
  } else if (protocol === undefined && ports.some((port) => isNumeric(port))) {
    issues.push({ path, message: 'need protocol TCP, UDP or SCTP; only names of ports can go without' })
  }
  return [...issues, ...ports.flatMap((port, index) => issueAt(`${path}[${index}]`, checkPort(port)))]
}

function checkPort(given: number | string): string | undefined {
  const port = portOf(given)
  if (port === undefined) return undefined
  if (!('name' in port)) return port.low === 0 ? checkZero(port.high) : undefined
  const range = /^(\d+)-(\d+)$/.exec(port.name)
  return range === null ? undefined : `${JSON.stringify(given)} would be the name of a port: write the range as "${range[1]}:${range[2]}"`
}

/** Calico's agent takes a policy with port 0 for missing. */
function checkZero(high: number): string {
  return high === 0 ? '0 is not a port (1 to 65535)' : `the range begins with 0, which is not a port: write "1:${high}"`
}

function checkServices(rule: Rule, rulePath: string, owner: RuleOwner): readonly Issue[] {
  return SIDES.flatMap((side) => {
    const entity = rule[side]
    const services = entity?.services
    if (!isObject(entity) || !isObject(services)) return []
    const path = `${rulePath}.${side}.services`
    const issues: Issue[] = []
    if (!services.name) issues.push({ path: `${path}.name`, message: 'is required (the name of a Service)' })
    if (!services.namespace && owner.kind !== 'policy') {
      issues.push({ path: `${path}.namespace`, message: `is required in a ${owner.kind}, which has no namespace of its own` })
    }
    if (owner.kind !== 'profile' && side === (owner.direction === 'ingress' ? 'destination' : 'source')) {
      const right = side === 'source' ? 'destination' : 'source'
      issues.push({ path, message: `can't be the ${side} of an ${owner.direction} rule, only its ${right}` })
    }
    const excluded = [...EXCLUDED_BY_SERVICES, ...(side === 'destination' ? PORTS : [])].filter((name) => isGiven(entity[name]))
    if (excluded.length > 0) issues.push({ path, message: `can't stand beside ${excluded.join(', ')}` })
    return issues
  })
}

const EXCLUDED_BY_SERVICES = ['nets', 'notNets', 'selector', 'notSelector', 'namespaceSelector', 'serviceAccounts'] as const
/** The ports of a service are those of its endpoints. */
const PORTS = ['ports', 'notPorts'] as const

function checkHttp({ http, action, protocol }: Rule, rulePath: string, owner: RuleOwner): readonly Issue[] {
  if (!isObject(http)) return []
  const path = `${rulePath}.http`
  const issues: Issue[] = []
  const number = numberOf(protocol)
  if (action === 'Deny' || action === 'Pass' || action === 'Log')
    issues.push({ path, message: `can only stand in an Allow rule, not in ${action}` })
  if (number !== undefined && number !== 6) issues.push({ path, message: `needs protocol TCP or none${notThis(protocol)}` })
  if (owner.direction === 'egress' && owner.kind !== 'profile') issues.push({ path, message: 'can only stand in an ingress rule' })
  const doubled = doubles(texts(http.methods))
  issues.push(...doubled.map((one) => ({ path: `${path}.methods`, message: `${JSON.stringify(one)} stands there more than once` })))
  const counts = [
    ...checkCount(http.methods, MAX_HTTP, 'methods', `${path}.methods`),
    ...checkCount(http.paths, MAX_HTTP, 'paths', `${path}.paths`),
  ]
  return [...issues, ...counts, ...(http.paths ?? []).flatMap((one, index) => issueAt(`${path}.paths[${index}]`, checkHttpPath(one)))]
}

function checkHttpPath(given: { readonly exact?: string | undefined; readonly prefix?: string | undefined }): string | undefined {
  if (!isObject(given)) return undefined
  const text = given.exact || given.prefix
  if (!text || (given.exact && given.prefix)) return 'needs one of exact and prefix'
  if (text.startsWith('/') && !/[? #]/.test(text)) return undefined
  return `${JSON.stringify(text)} is not a path (begins with "/", has no "?", "#" or blank)`
}

function checkCount(list: readonly unknown[] | undefined, most: number, what: string, path: string): readonly Issue[] {
  return (list?.length ?? 0) > most ? [{ path, message: `has ${list?.length} ${what}, ${most} are allowed` }] : []
}

function issueAt(path: string, message: string | undefined): readonly Issue[] {
  return message === undefined ? [] : [{ path, message }]
}

function notThis(protocol: Rule['protocol']): string {
  return protocol === undefined ? '' : `, not ${protocol}`
}

/** The protocol's number, undefined also for what is no protocol. */
function numberOf(protocol: Rule['protocol']): number | undefined {
  if (protocol === undefined) return undefined
  try {
    return parseProtocol(String(protocol))
  } catch {
    return undefined
  }
}

function portOf(given: number | string | undefined): RulePort | undefined {
  try {
    return given === undefined ? undefined : parseRulePort(given)
  } catch {
    return undefined
  }
}

function isNumeric(given: number | string): boolean {
  const port = portOf(given)
  return port !== undefined && !('name' in port)
}

function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== ''
}

/** The items of a list that are texts: a place whose item is wrong is empty. */
function texts(list: readonly string[] | undefined): readonly string[] {
  return (list ?? []).filter((item) => typeof item === 'string')
}
