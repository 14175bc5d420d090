import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { ValidationError } from '../../errors.ts'
import { isIp, parseIp } from '../../net/ip.ts'
import { decodeResource, encodeResource } from '../codec.ts'
import { parseAs } from '../issues.ts'
import { type AnyResource, findKind, kindInfo, type ResourceKind } from '../kinds.ts'

/** Bodies of questions to hosts and of their answers (model/own/ask). */

/** A resource as it would be; without one it would be gone. */
export interface ResourceChange {
  readonly kind: ResourceKind
  /** As in a view: the name, with the namespace before it. */
  readonly id: string
  readonly resource: AnyResource | undefined
}

const changeSchema = z.object({ kind: z.string(), id: z.string(), value: z.string().optional() })
/** A change as it is sent: the resource as it would stand in the store. */
export type SentChange = z.infer<typeof changeSchema>

const ipSchema = z
  .string()
  .refine(isIp, 'is not an address')
  .transform((text) => parseIp(text))
const endSchema = z.object({ address: ipSchema, port: z.number().optional() })

/** A connection; the source is who opened it. */
const flowSchema = z.object({
  source: endSchema,
  destination: endSchema,
  protocol: z.number(),
  icmp: z.object({ type: z.number(), code: z.number() }).optional(),
})
export type Flow = z.infer<typeof flowSchema>

/** Which connections of administrators and of etcd would be cut on this host by these changes? */
const sessionsQuestionSchema = z.object({
  changes: z.array(changeSchema),
  /** Over which whoever asks works himself, wherever that is: a host looks at those that end at it. */
  callers: z.array(flowSchema),
})
export type SessionsQuestion = z.infer<typeof sessionsQuestionSchema>

const cutSessionSchema = flowSchema.extend({
  /** `SSH`, `etcd`: whose connection it is. */
  what: z.string(),
  /** Place, policy and rule that would deny it. */
  because: z.string(),
})
export type CutSession = z.infer<typeof cutSessionSchema>
const sessionsAnswerSchema = z.object({
  cut: z.array(cutSessionSchema),
  /** How many connections were looked at. */
  checked: z.number(),
  /** What could not be looked at, in words. */
  problems: z.array(z.string()),
})
export type SessionsAnswer = z.infer<typeof sessionsAnswerSchema>

const flowsQuestionSchema = z.object({ changes: z.array(changeSchema) })
export type FlowsQuestion = z.infer<typeof flowsQuestionSchema>

/** What changes in the list of policies of one endpoint. */
const endpointChangeSchema = z.object({
  endpoint: z.string(),
  /** It would be new, or gone. */
  is: z.enum(['new', 'gone', 'changed']),
  added: z.array(z.string()),
  removed: z.array(z.string()),
  changed: z.array(z.string()),
  /** What else, in words: tiers, default actions, profiles, the order. */
  notes: z.array(z.string()),
})
export type EndpointChange = z.infer<typeof endpointChangeSchema>
const cutFlowSchema = flowSchema.extend({ because: z.string() })
export type CutFlow = z.infer<typeof cutFlowSchema>
/** One that would go on although a new one like it would be denied; `goesOn`: why. */
const toleratedFlowSchema = cutFlowSchema.extend({ goesOn: z.string() })
export type ToleratedFlow = z.infer<typeof toleratedFlowSchema>
const flowsAnswerSchema = z.object({
  endpoints: z.array(endpointChangeSchema),
  /** Of which `endpoints` shows the first. */
  endpointsTotal: z.number(),
  /** Of which `cut` shows the first. */
  cutTotal: z.number(),
  cut: z.array(cutFlowSchema),
  /** Of which `tolerated` shows the first. Older versions do not say it, and count such connections as cut. */
  toleratedTotal: z.number().default(0),
  tolerated: z.array(toleratedFlowSchema).default([]),
  /** How many open connections were looked at. */
  checked: z.number(),
  problems: z.array(z.string()),
})
export type FlowsAnswer = z.infer<typeof flowsAnswerSchema>

/** @throws {ValidationError} with every issue */
export function readSessionsQuestion(body: unknown): SessionsQuestion {
  return parseAs('a question about sessions', sessionsQuestionSchema, body)
}

/** @throws {ValidationError} with every issue */
export function readSessionsAnswer(body: unknown): SessionsAnswer {
  return parseAs('the answer of a host about sessions', sessionsAnswerSchema, body)
}

/** @throws {ValidationError} with every issue */
export function readFlowsQuestion(body: unknown): FlowsQuestion {
  return parseAs('a question about flows', flowsQuestionSchema, body)
}

/** @throws {ValidationError} with every issue */
export function readFlowsAnswer(body: unknown): FlowsAnswer {
  return parseAs('the answer of a host about flows', flowsAnswerSchema, body)
}

/** @throws {ValidationError} with every issue */
export function readSentChanges(body: unknown): readonly SentChange[] {
  return parseAs('a list of changes', z.array(changeSchema), body)
}

/** Changes as they are sent. */
export function sendChanges(changes: readonly ResourceChange[]): SentChange[] {
  return changes.map(({ kind, id, resource }) => ({ kind, id, ...(resource === undefined ? {} : { value: encodeResource(resource) }) }))
}

/**
 * Changes as they were sent.
 *
 * @throws {ValidationError} naming the first that can't be read
 */
export function readChanges(sent: readonly SentChange[]): readonly ResourceChange[] {
  return sent.map(({ kind: given, id, value }) => {
    const kind = findKind(given)
    if (kind === undefined) throw new ValidationError(`${JSON.stringify(given)} is no kind that this version knows`)
    return { kind, id, resource: value === undefined ? undefined : decodeResource(kind, value, 0) }
  })
}

/** The id of a resource in a view. */
export function idOfResource(kind: ResourceKind, { name, namespace }: { readonly name: string; readonly namespace?: string | undefined }) {
  return kindInfo(kind).isNamespaced ? `${namespace ?? 'default'}/${name}` : name
}

/** Whether two versions of a resource say the same: whatever their revision, and whoever wrote them. */
export function isAlike(one: AnyResource, other: AnyResource): boolean {
  const essence = ({ metadata, spec }: AnyResource) => [metadata.labels ?? {}, metadata.annotations ?? {}, spec]
  return isDeepStrictEqual(essence(one), essence(other))
}
