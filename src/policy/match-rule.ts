import { type EntityRule, parseRulePort, type Rule, type RuleAction, unenforcedMembers } from '../model/rule.ts'
import { entitySelector } from '../model/scoped-selector.ts'
import { parseSelector, type Selector } from '../model/selector-parse.ts'
import type { Cidr } from '../net/cidr.ts'
import { FAMILIES, type Family, familyOf } from '../net/ip.ts'
import { type PortRange, PROTOCOL_NUMBERS, parseProtocol } from '../net/port.ts'
import { type NamedPortSet, namedPortSet, type SelectorSet, type ServiceSet, selectorSet, serviceSet } from './address-set.ts'
import { ICMP_PROTOCOLS, PORT_PROTOCOLS } from './packet.ts'

/** Ports of which one must match (or, as `notPorts`, none): numbers, or those of endpoints by name. */
export interface PortMatch {
  readonly ranges: readonly PortRange[]
  readonly named: readonly NamedPortSet[]
}

/** What one side of a packet must be: all that is there must hold. */
export interface SideMatch {
  /** One of these must hold the address. */
  readonly nets?: readonly Cidr[] | undefined
  readonly notNets?: readonly Cidr[] | undefined
  readonly set?: SelectorSet | undefined
  readonly notSet?: SelectorSet | undefined
  readonly service?: ServiceSet | undefined
  readonly ports?: PortMatch | undefined
  readonly notPorts?: PortMatch | undefined
}

/** A type with a code, or with any. */
export interface IcmpMatch {
  readonly type: number
  readonly code?: number | undefined
}

/** A rule with its texts read and its selectors scoped: all that decides which packets it matches. */
export interface MatchRule {
  readonly action: RuleAction
  /** Empty for a rule that can match nothing. */
  readonly families: readonly Family[]
  /** One of these; absent is any. */
  readonly protocols?: readonly number[] | undefined
  readonly notProtocol?: number | undefined
  readonly icmp?: IcmpMatch | undefined
  readonly notIcmp?: IcmpMatch | undefined
  readonly source: SideMatch
  readonly destination: SideMatch
  /** Members that nobody here enforces or knows: an Allow or a Pass with one matches nothing, a Deny matches as if it were not there. */
  readonly unenforced: readonly string[]
}

/**
 * Reads a rule of a policy of this namespace (absent: of a global policy or a profile).
 *
 * @throws {ValidationError} if a selector, a protocol or a port does not parse
 */
export function readRule(rule: Rule, namespace: string | undefined): MatchRule {
  const protocol = readProtocol(rule.protocol)
  const source = readSide(rule.source, { namespace, protocol, hasServicePorts: false })
  const destination = readSide(rule.destination, { namespace, protocol, hasServicePorts: true })
  const unenforced = unenforcedMembers(rule)
  const isVoid = unenforced.length > 0 && (rule.action === 'Allow' || rule.action === 'Pass')
  return {
    action: rule.action,
    families: isVoid ? [] : familiesOf(rule, source, destination),
    protocols: protocolsOf(rule, protocol, source, destination),
    notProtocol: readProtocol(rule.notProtocol),
    icmp: readIcmp(rule.icmp),
    notIcmp: readIcmp(rule.notICMP),
    source,
    destination,
    unenforced,
  }
}

interface SideContext {
  readonly namespace: string | undefined
  readonly protocol: number | undefined
  readonly hasServicePorts: boolean
}

function readSide(entity: EntityRule | undefined, { namespace, protocol, hasServicePorts }: SideContext): SideMatch {
  if (entity === undefined) return {}
  const selector = entitySelector(entity, namespace)
  const portContext = { selector: selector ?? ({ op: 'all' } as const), protocol: namedPortProtocol(protocol) }
  const { services } = entity
  const service = services?.name === undefined ? undefined : `${services.namespace ?? namespace ?? ''}/${services.name}`
  return {
    nets: presentList(entity.nets),
    notNets: presentList(entity.notNets),
    set: selector && selectorSet(selector),
    notSet: (entity.notSelector ?? '') === '' ? undefined : selectorSet(parseSelector(entity.notSelector ?? '')),
    service: service === undefined ? undefined : serviceSet(service, hasServicePorts),
    ports: readPorts(entity.ports, portContext),
    notPorts: readPorts(entity.notPorts, portContext),
  }
}

function presentList<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list?.length ? list : undefined
}

/** Named ports are those of the endpoints that the side's selector matches: no others can come to a rule that has it. */
function readPorts(ports: EntityRule['ports'], context: { selector: Selector; protocol: number }): PortMatch | undefined {
  if (!ports?.length) return undefined
  const parsed = ports.map(parseRulePort)
  return {
    ranges: parsed.flatMap((port) => ('name' in port ? [] : [port])),
    named: parsed.flatMap((port) => ('name' in port ? [namedPortSet(context.selector, context.protocol, port.name)] : [])),
  }
}

/** Calico means TCP where a rule names a port by name and no protocol that has ports of endpoints. */
function namedPortProtocol(protocol: number | undefined): number {
  const { TCP, UDP, SCTP } = PROTOCOL_NUMBERS
  return protocol === UDP || protocol === SCTP ? protocol : TCP
}

function readProtocol(given: Rule['protocol']): number | undefined {
  return given === undefined ? undefined : parseProtocol(String(given))
}

/** Without a type it says nothing, to Calico's agents neither. */
function readIcmp(given: Rule['icmp']): IcmpMatch | undefined {
  return given?.type === undefined ? undefined : { type: given.type, code: given.code }
}

/** A list of nets says of which families the rule is, a list of excluded ones too: that is how Calico's agents read both. */
function familiesOf(rule: Rule, source: SideMatch, destination: SideMatch): readonly Family[] {
  const lists = [source.nets, source.notNets, destination.nets, destination.notNets].filter((list) => list !== undefined)
  const excluded = [...(source.notNets ?? []), ...(destination.notNets ?? [])]
  return FAMILIES.filter(
    (family) =>
      (rule.ipVersion ?? family) === family &&
      lists.every((list) => list.some((net) => familyOf(net) === family)) &&
      !excluded.includes((family === 4 ? '0.0.0.0/0' : '::/0') as Cidr),
  )
}

/** Ports by number need a protocol that has ports, and an ICMP type an ICMP; whoever wrote such a rule without can't have meant more. */
function protocolsOf(rule: Rule, given: number | undefined, ...sides: readonly SideMatch[]): readonly number[] | undefined {
  const hasNumbers = sides.some(({ ports, notPorts }) => ports?.ranges.length || notPorts?.ranges.length)
  const hasIcmp = readIcmp(rule.icmp) !== undefined || readIcmp(rule.notICMP) !== undefined
  const possible = hasNumbers ? PORT_PROTOCOLS : hasIcmp ? Object.values(ICMP_PROTOCOLS) : undefined
  if (given === undefined) return possible
  return possible?.includes(given) === false ? [] : [given]
}
