import * as z from 'zod'
import { type Issue, ValidationError } from '../errors.ts'
import { parseCidr } from '../net/cidr.ts'
import { type Family, familyOf } from '../net/ip.ts'
import { COMMUNITY_RULE, isCommunity } from './community.ts'
import { asNumberField, checkedText, type DeepReadonly, integerField } from './fields.ts'
import type { Resource } from './resource.ts'
import { soundEntries } from './sound-parts.ts'
import { later } from './tags.ts'

const priorityField = integerField(1, 2_147_483_646)
const communityField = checkedText((text) => {
  if (!isCommunity(text)) throw new ValidationError(`${JSON.stringify(text)} is not a community ${COMMUNITY_RULE}`)
})
/** Name of an interface of the host, in which `*` stands for any characters. */
const interfaceField = checkedText((text) => {
  if (/^[a-zA-Z0-9_.*-]{1,15}$/.test(text)) return
  throw new ValidationError(`${JSON.stringify(text)} is not an interface or a pattern (1 to 15 letters, digits, "_", ".", "-" and "*")`)
})

const operation = z.object({
  addCommunity: z.object({ value: later('Community that the route gets.', communityField) }).optional(),
  prependASPath: z
    .object({ prefix: later('AS numbers that are put before the path of the route, 1 to 10.', z.array(asNumberField)) })
    .optional(),
  setPriority: z.object({ value: later('Priority that the route gets, as a kernel metric.', priorityField) }).optional(),
})

function ruleOf(family: Family) {
  const length = integerField(0, family === 4 ? 32 : 128)
  return z.object({
    cidr: later('Prefix that matchOperator compares the route with.', cidrOfFamily(family)).optional(),
    prefixLength: z
      .object({
        min: later('Least length of the prefix.', length).optional(),
        max: later('Greatest length of the prefix.', length).optional(),
      })
      .optional(),
    source: later('Only routes that were learned from BGP peers.', z.enum(['RemotePeers'])).optional(),
    interface: later('Only routes over this interface; `*` stands for any characters.', interfaceField).optional(),
    matchOperator: later('How the route is compared with cidr.', z.enum(['Equal', 'NotEqual', 'In', 'NotIn'])).optional(),
    peerType: later('Only peers in another AS (eBGP), or in the same (iBGP).', z.enum(['eBGP', 'iBGP'])).optional(),
    communities: z.object({ values: later('The community that the route carries: just one.', z.array(communityField)) }).optional(),
    asPathPrefix: later('AS numbers that the path of the route begins with.', z.array(asNumberField)).optional(),
    priority: later('Only routes of this priority.', priorityField).optional(),
    action: later('What happens to a route that matches.', z.enum(['Accept', 'Reject'])),
    operations: z.array(operation).optional(),
  })
}

function cidrOfFamily(family: Family) {
  return checkedText((text) => {
    if (familyOf(parseCidr(text)) !== family) throw new ValidationError(`not an IPv${family} prefix: ${JSON.stringify(text)}`)
  })
}

/** The spec of a BGPFilter. */
export const bgpFilterSpecSchema = z.object({
  exportV4: z.array(ruleOf(4)).optional(),
  importV4: z.array(ruleOf(4)).optional(),
  exportV6: z.array(ruleOf(6)).optional(),
  importV6: z.array(ruleOf(6)).optional(),
})

export type BGPFilterSpec = DeepReadonly<z.infer<typeof bgpFilterSpecSchema>>

/** Rules for the routes that BGP peers tell and are told; the first that matches decides. */
export type BGPFilter = Resource<'BGPFilter', BGPFilterSpec>

type Rule = NonNullable<BGPFilterSpec['exportV4']>[number]

/** What is wrong with a BGPFilter beyond the shape of its fields. */
export function checkBgpFilter({ spec }: BGPFilter): readonly Issue[] {
  return (['exportV4', 'importV4', 'exportV6', 'importV6'] as const).flatMap((field) =>
    soundEntries(spec[field]).flatMap(([index, rule]) => checkRule(rule, `spec.${field}[${index}]`)),
  )
}

function checkRule(rule: Rule, path: string): readonly Issue[] {
  const issues: Issue[] = []
  const add = (field: string, message: string) => issues.push({ path: `${path}.${field}`, message })
  if (rule.cidr !== undefined && rule.matchOperator === undefined) add('matchOperator', 'is required with cidr')
  if (rule.cidr === undefined && rule.matchOperator !== undefined) add('matchOperator', `${JSON.stringify(rule.matchOperator)} needs cidr`)
  if (rule.prefixLength !== undefined && rule.cidr === undefined) add('prefixLength', 'needs cidr')
  const { min = 0, max = 128 } = rule.prefixLength ?? {}
  if (min > max) add('prefixLength', `min ${min} is greater than max ${max}`)
  const values = rule.communities?.values
  if (values !== undefined && values.length !== 1) add('communities.values', `has ${values.length} communities, just one is allowed`)
  return [...issues, ...checkOperations(rule, path)]
}

function checkOperations({ operations, action }: Rule, path: string): readonly Issue[] {
  if (operations === undefined) return []
  const issues: Issue[] = []
  const add = (field: string, message: string) => issues.push({ path: `${path}.${field}`, message })
  if (action === 'Reject' && operations.length > 0) add('operations', 'can only be done with action "Accept"')
  if (operations.length > 10) add('operations', `has ${operations.length} operations, 10 are allowed`)
  for (const [index, { addCommunity, prependASPath, setPriority }] of soundEntries(operations)) {
    const given = [addCommunity, prependASPath, setPriority].filter((each) => each !== undefined)
    if (given.length !== 1) add(`operations[${index}]`, 'must have one of addCommunity, prependASPath, setPriority')
    const prefix = prependASPath?.prefix
    if (prefix !== undefined && (prefix.length < 1 || prefix.length > 10)) {
      add(`operations[${index}].prependASPath.prefix`, `has ${prefix.length} AS numbers, 1 to 10 are allowed`)
    }
  }
  return issues
}
