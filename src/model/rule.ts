import * as z from 'zod'
import { describeError, ValidationError } from '../errors.ts'
import { hostCidr, parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { type PortRange, parsePortRange } from '../net/port.ts'
import { checkedText, type DeepReadonly, integerField, parsedText, protocolField, shownAs } from './fields.ts'
import { parseSelector } from './selector-parse.ts'
import { enforced, stored } from './tags.ts'

/** A port that a rule names: numbers from `low` to `high`, or the name of a port of endpoints. */
export type RulePort = PortRange | { readonly name: string }

/** Names of ports in rules; those of endpoints are narrower (host-endpoint.ts). */
const PORT_NAME = /^[a-zA-Z0-9_.-]{1,128}$/

/**
 * Parses a port of a rule: a number, a range `8000:8100`, or the name of a port.
 *
 * @throws {ValidationError} naming the value as it was given
 */
export function parseRulePort(given: number | string): RulePort {
  const text = String(given)
  if (typeof given === 'number' || /^\d+(:\d+)?$/.test(text)) return parsePortRange(text)
  if (PORT_NAME.test(text)) return { name: text }
  const rule = '0 to 65535, a range such as "8000:8100", or a name of letters, digits, "_", "." and "-"'
  throw new ValidationError(`${JSON.stringify(given)} is not a port (${rule})`)
}

/** A selector of endpoints or sets by their labels. Its length is checked only where it is written: older versions of Calico had no limit. */
export const labelSelectorField = shownAs(
  'selector',
  { maxLength: 1024 },
  checkedText((text) => {
    parseSelector(text)
    if (text.includes('global(')) {
      throw new ValidationError(`${JSON.stringify(text)}: global() can only be the namespaceSelector of a rule's source or destination`)
    }
  }),
)

/** A selector of namespaces in a rule; `global()` alone means what is in no namespace. */
const ruleNamespaceSelectorField = shownAs(
  'selector',
  { maxLength: 1024 },
  checkedText((text) => {
    const selector = parseSelector(text)
    if (text.includes('global(') && selector.op !== 'global') {
      throw new ValidationError(`${JSON.stringify(text)}: global() can't be combined with other selectors`)
    }
  }),
)

/** A prefix with its length, as rules want it. */
const ruleNetField = shownAs(
  'prefix',
  { pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' },
  parsedText((text) => {
    if (text.includes('/')) return parseCidr(text)
    throw new ValidationError(`${JSON.stringify(text)} has no prefix length: write ${hostCidr(parseIp(text))}`)
  }),
)

const rulePortField = shownAs(
  'port, range or name',
  {
    anyOf: [
      { type: 'integer', minimum: 0, maximum: 65_535 },
      { type: 'string', pattern: '^([0-9]{1,5}:[0-9]{1,5}|[a-zA-Z0-9_.-]{1,128})$' },
    ],
  },
  z.union([z.number(), z.string()]).superRefine((given, context) => {
    try {
      parseRulePort(given)
    } catch (error) {
      context.addIssue({ code: 'custom', message: describeError(error), input: given })
    }
  }),
)

const icmpSchema = z.object({
  type: enforced('The ICMP or ICMPv6 type, 0 to 254; without it every type matches.', integerField(0, 254)).optional(),
  code: enforced('The ICMP or ICMPv6 code, 0 to 255; needs a type.', integerField(0, 255)).optional(),
})

const servicesSchema = z.object({
  name: enforced('The name of the Service.', z.string()).optional(),
  namespace: enforced('Its namespace; in a NetworkPolicy that of the policy, if absent.', z.string()).optional(),
})

const serviceAccountsSchema = z.object({
  names: enforced('Names of service accounts, of which one must be that of the workload.', z.array(z.string())).optional(),
  selector: enforced('Selects service accounts by their labels.', labelSelectorField).optional(),
})

const entitySchema = z.object({
  nets: enforced('Prefixes, of which one must hold the address.', z.array(ruleNetField)).optional(),
  selector: enforced('Selects endpoints and network sets whose addresses match.', labelSelectorField).optional(),
  namespaceSelector: enforced(
    'Selects the namespaces of these endpoints; `global()` for those without one. Absent in a NetworkPolicy: its own namespace.',
    ruleNamespaceSelectorField,
  ).optional(),
  services: servicesSchema.optional(),
  ports: enforced('Ports: numbers, ranges `8000:8100` and names, of which one must match.', z.array(rulePortField)).optional(),
  notNets: enforced('Prefixes, of which none may hold the address.', z.array(ruleNetField)).optional(),
  notSelector: enforced('Selects endpoints and network sets whose addresses do not match.', labelSelectorField).optional(),
  notPorts: enforced('Ports of which none may match.', z.array(rulePortField)).optional(),
  serviceAccounts: serviceAccountsSchema.optional(),
})

const httpSchema = z
  .object({
    methods: stored('Methods of HTTP requests, of which one must match.', z.array(z.string())).optional(),
    paths: z
      .array(
        z.object({
          exact: stored('The whole path of the request.', z.string()).optional(),
          prefix: stored('What the path of the request begins with.', z.string()).optional(),
        }),
      )
      .optional(),
  })
  .meta({ effect: "is kept for Calico; margay can't look into requests, so an Allow rule with it allows nothing" })

/** One rule of a policy or a profile: all that it names must hold for a packet. */
export const ruleSchema = z.object({
  action: enforced(
    'What happens to a packet that matches: Allow and Deny end, Pass goes on to the next tier, Log logs and goes on to the next rule.',
    z.enum(['Allow', 'Deny', 'Log', 'Pass']),
  ),
  ipVersion: enforced('Only packets of this IP version, 4 or 6.', z.literal([4, 6])).optional(),
  protocol: enforced('TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite, or a number from 1 to 255.', protocolField).optional(),
  icmp: icmpSchema.optional(),
  notProtocol: enforced('Any protocol but this one.', protocolField).optional(),
  notICMP: icmpSchema.optional(),
  source: entitySchema.optional(),
  destination: entitySchema.optional(),
  http: httpSchema.optional(),
  metadata: z
    .object({ annotations: enforced('Notes on the rule; they change nothing.', z.record(z.string(), z.string())).optional() })
    .optional(),
})

export type Rule = DeepReadonly<z.infer<typeof ruleSchema>>

/** The source or the destination of a rule: all that it names must hold. */
export type EntityRule = NonNullable<Rule['source']>

/** What a rule does to a packet that it matches. */
export type RuleAction = Rule['action']

const KNOWN: Readonly<Record<'rule' | 'icmp' | 'entity' | 'services' | 'serviceAccounts' | 'metadata', ReadonlySet<string>>> = {
  rule: new Set(Object.keys(ruleSchema.shape).filter((name) => name !== 'http')),
  icmp: new Set(Object.keys(icmpSchema.shape)),
  entity: new Set(Object.keys(entitySchema.shape)),
  services: new Set(Object.keys(servicesSchema.shape)),
  serviceAccounts: new Set(Object.keys(serviceAccountsSchema.shape)),
  metadata: new Set(['annotations']),
}

/**
 * The members of a rule that nobody here enforces (`http`) or knows, as paths such as `source.asNumbers`; empty for nearly every rule.
 * Such a rule must never match as Allow or Pass, and matches as Deny as if the member were not there: closed rather than open.
 */
export function unenforcedMembers(rule: Rule): readonly string[] {
  const { icmp, notICMP, source, destination, metadata } = rule
  return [
    ...unknownIn(rule, '', KNOWN.rule),
    ...unknownIn(icmp, 'icmp.', KNOWN.icmp),
    ...unknownIn(notICMP, 'notICMP.', KNOWN.icmp),
    ...unknownInEntity(source, 'source.'),
    ...unknownInEntity(destination, 'destination.'),
    ...unknownIn(metadata, 'metadata.', KNOWN.metadata),
  ]
}

function unknownInEntity(entity: EntityRule | undefined, prefix: string): readonly string[] {
  if (entity === undefined) return []
  return [
    ...unknownIn(entity, prefix, KNOWN.entity),
    ...unknownIn(entity.services, `${prefix}services.`, KNOWN.services),
    ...unknownIn(entity.serviceAccounts, `${prefix}serviceAccounts.`, KNOWN.serviceAccounts),
  ]
}

function unknownIn(value: object | undefined, prefix: string, known: ReadonlySet<string>): readonly string[] {
  if (value === undefined) return []
  return Object.entries(value).flatMap(([name, member]) =>
    known.has(name) || member === undefined || member === null ? [] : [`${prefix}${name}`],
  )
}
