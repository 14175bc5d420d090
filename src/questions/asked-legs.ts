import * as z from 'zod'
import { parseAs } from '../model/issues.ts'
import { isIp, parseIp } from '../net/ip.ts'
import type { ExplainedLeg, Leg, LegPacket } from './explain-leg.ts'

/** A packet and its way through a host, as the store has it: what does the host say? */
export interface AskedLeg {
  readonly packet: LegPacket
  readonly leg: Leg
  /** With what the host tries of policy now; a host that knows no trials answers without. */
  readonly isTried?: boolean | undefined
}

/** What a host says itself of its part of a packet's way. */
export interface AnsweredLeg {
  readonly leg: ExplainedLeg
  /** What the interfaces carry by which the packet comes and goes. Bytes. */
  readonly mtuBytes: number
  /** Why the packet gets no further whatever policies say. */
  readonly problem?: string | undefined
  /** The ids of the trials that it answers with; absent where they were not asked for. */
  readonly trials?: readonly string[] | undefined
}

const ip = z
  .string()
  .refine(isIp, 'is not an address')
  .transform((text) => parseIp(text))
const way = { node: z.string(), in: z.string().exactOptional(), out: z.string().exactOptional(), source: ip, destination: ip }

const askedSchema = z.array(
  z.object({
    packet: z.object({
      family: z.union([z.literal(4), z.literal(6)]),
      protocol: z.number(),
      sourcePort: z.number().optional(),
      port: z.number().optional(),
      icmp: z.object({ type: z.number(), code: z.number() }).optional(),
    }),
    leg: z.object({
      ...way,
      isFromWorkload: z.boolean(),
      tunnel: z.object({ from: ip, to: ip, port: z.number() }).exactOptional(),
    }),
    isTried: z.boolean().optional(),
  }),
)

const verdict = z.enum(['allow', 'deny'])
const listVerdict = z.enum(['allow', 'deny', 'none'])
const checkSchema = z.object({
  by: z.enum(['policy', 'tier', 'profile', 'end']),
  tier: z.string().exactOptional(),
  name: z.string().exactOptional(),
  isStaged: z.boolean().exactOptional(),
  rule: z.number().exactOptional(),
  action: z.enum(['Allow', 'Deny', 'Log', 'Pass']).exactOptional(),
  text: z.string(),
})
const stepSchema = z.object({
  place: z.enum([
    ...(['untracked', 'pre-dnat', 'forward-from-host-endpoint', 'from-workload', 'to-workload', 'forward-to-host-endpoint'] as const),
    ...(['to-host', 'from-host'] as const),
  ]),
  endpoint: z.string().exactOptional(),
  verdict: listVerdict,
  stagedVerdict: listVerdict.exactOptional(),
  because: z.string().exactOptional(),
  checks: z.array(checkSchema),
})
const answeredSchema = z.array(
  z.object({
    leg: z.object({ ...way, verdict, stagedVerdict: verdict, steps: z.array(stepSchema), tunnel: z.array(stepSchema).exactOptional() }),
    mtuBytes: z.number(),
    problem: z.string().optional(),
    trials: z.array(z.string()).optional(),
  }),
)

/** @throws {ValidationError} with every issue */
export function readAskedLegs(body: unknown): readonly AskedLeg[] {
  return parseAs('a question about packets', askedSchema, body)
}

/** @throws {ValidationError} with every issue */
export function readAnsweredLegs(body: unknown): readonly AnsweredLeg[] {
  return parseAs('the answer of a host about packets', answeredSchema, body)
}
