import * as z from 'zod'
import { parseAs } from '../issues.ts'
import { parseJson } from '../json.ts'

/**
 * A change of policy that hosts try: `/margay/v1/trial/<id>`, under a lease that nobody keeps alive. While it stands, hosts lay what it
 * writes over what the store has; when it is gone they are back where they were. Confirming it does the transaction that it holds and
 * leaves `isConfirmed` until the lease ends: by that hosts know that the documents are about to be in their view.
 */
export interface Trial {
  /** Who asked for it, as `user@host`. */
  readonly by: string
  /** RFC 3339, by the clock of who asked. Nobody reckons with it. */
  readonly startedAt: string
  /** Of the lease, when it began. */
  readonly seconds: number
  /** Decimal: it has 64 bits. */
  readonly lease: string
  readonly isConfirmed?: boolean | undefined
  /** What must hold in the store to confirm it: key and mod revision, 0 for what is not there. */
  readonly compares: readonly { readonly key: string; readonly modRevision: number }[]
  /** What confirming writes: whole values under the keys of resources. */
  readonly writes: readonly TrialWrite[]
  /** The mod revision of the record itself. */
  readonly revision: number
}

/** One write of a trial; of what is removed the id in a view, which the key alone does not tell of policies in an older form. */
export type TrialWrite = { readonly put: string; readonly value: string } | { readonly remove: string; readonly id: string }

/** What a host says of a trial, under `/margay/v1/trial-host/<id>/<node>`, with the trial's lease. */
export interface TrialHost {
  readonly node: string
  /** `running`, or `refused` with why: then the host keeps the policy that it had. */
  readonly state: 'running' | 'refused'
  readonly reasons: readonly string[]
}

/** The shortest and the longest trial. Seconds. */
export const TRIAL_SECONDS = { least: 5, most: 3600 } as const

/** What decides about packets can be tried; what says how hosts are set up, or where workloads are, can't be put beside what is. */
const TRIABLE: ReadonlySet<string> = new Set([
  'GlobalNetworkPolicy',
  'NetworkPolicy',
  'StagedGlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedKubernetesNetworkPolicy',
  'Tier',
  'Profile',
  'GlobalNetworkSet',
  'NetworkSet',
  'HostEndpoint',
])

/** Whether resources of this kind can be a part of a trial. */
export function isTriable(kind: string): boolean {
  return TRIABLE.has(kind)
}

const trialSchema = z.object({
  by: z.string(),
  startedAt: z.string(),
  seconds: z.number().positive(),
  lease: z.string().regex(/^\d+$/),
  isConfirmed: z.boolean().optional(),
  compares: z.array(z.object({ key: z.string(), modRevision: z.number().int().nonnegative() })),
  writes: z.array(z.union([z.object({ put: z.string(), value: z.string() }), z.object({ remove: z.string(), id: z.string() })])),
})
const trialHostSchema = z.object({ node: z.string(), state: z.enum(['running', 'refused']), reasons: z.array(z.string()) })

/**
 * The trial that stands in the store.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeTrial(value: string, revision: number): Trial {
  return { ...parseAs('a trial of policies', trialSchema, parseJson(value)), revision }
}

/** The value of `/margay/v1/trial/<id>`. */
export function encodeTrial({ revision: _, ...trial }: Trial): string {
  return JSON.stringify(trial)
}

/**
 * What a host says of a trial.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeTrialHost(value: string): TrialHost {
  return parseAs('what a host says of a trial', trialHostSchema, parseJson(value))
}
