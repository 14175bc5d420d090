import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import * as z from 'zod'
import { ValidationError } from '../../errors.ts'
import { parseAs } from '../issues.ts'
import { parseJson } from '../json.ts'
import { MARGAY_PREFIX } from '../keys.ts'

/**
 * Who wants to know something asks all hosts: `/margay/v1/ask/<id>` holds the question, under a lease of the asker; each host answers
 * under `/margay/v1/ask/<id>/<node>` with the same lease, so that all of it goes with the asker. A host answers when it has applied the
 * revision that the question names. A question without a kind asks only for that; hosts that know no kinds take every question for one.
 */
export const ASK_PREFIX = `${MARGAY_PREFIX}ask/`

/** What can be asked beside `applied` (model/own/questions). */
export type AskKind = 'explain' | 'flows' | 'sessions'

/** What a change is about, as far as it tells which troubles of a host it concerns. */
export interface About {
  readonly kinds: readonly string[]
  /** Its workload endpoints, `namespace/name`. */
  readonly endpoints: readonly string[]
}

/** The question. */
export interface Ask {
  /** Of the last resource that was written; 0: what is applied now. */
  readonly revision: number
  /** The asker's lease, decimal: it has 64 bits. */
  readonly lease: string
  /** What was changed; absent: all that the kernel refuses is told. */
  readonly about?: About | undefined
  /** Absent: whether it is applied. */
  readonly kind?: string | undefined
  /** What else belongs to a question of that kind, packed. */
  readonly body?: unknown
}

/** One host's answer, when its pass over that revision is over. */
export interface AskAnswer {
  readonly node: string
  readonly revision: number
  /** How many objects the kernel refuses now of those that the change concerns, and the first of them in words. */
  readonly refused: number
  readonly reasons: readonly string[]
  /** How many others it refuses. */
  readonly others?: number | undefined
  /** The kind of the question; absent from a host that knows no kinds. */
  readonly kind?: string | undefined
  /** What the host says to a question of that kind, packed. */
  readonly body?: unknown
  /** Why it says nothing to it. */
  readonly problem?: string | undefined
}

const askSchema = z.object({
  revision: z.number().int().nonnegative(),
  lease: z.string().regex(/^\d+$/),
  about: z.object({ kinds: z.array(z.string()), endpoints: z.array(z.string()) }).optional(),
  kind: z.string().optional(),
  body: z.unknown().optional(),
})
const answerSchema = z.object({
  node: z.string(),
  revision: z.number(),
  refused: z.number(),
  reasons: z.array(z.string()),
  others: z.number().optional(),
  kind: z.string().optional(),
  body: z.unknown().optional(),
  problem: z.string().optional(),
})

/** The key of a question. */
export function askKey(id: string): string {
  return `${ASK_PREFIX}${id}`
}

/** The key of a host's answer to the question with this key. */
export function answerKey(question: string, node: string): string {
  return `${question}/${node}`
}

/** Whether a key below the prefix is that of a question. */
export function isAskKey(key: string): boolean {
  return !key.slice(ASK_PREFIX.length).includes('/')
}

/**
 * The question that stands in the store.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeAsk(value: string): Ask {
  return parseAs('a question to all hosts', askSchema, parseJson(value))
}

/**
 * A host's answer.
 *
 * @throws {ValidationError} with every issue
 */
export function decodeAnswer(value: string): AskAnswer {
  return parseAs('the answer of a host', answerSchema, parseJson(value))
}

/** Bodies longer than this are compressed: policies become a tenth. Bytes of JSON. */
const PLAIN_BYTES = 32 << 10
/** etcd takes no request over 1.5 MiB (`--max-request-bytes`). Bytes of what stands in the store. */
export const MOST_BODY_BYTES = 1 << 20
/** What a compressed body may unfold to. Bytes. */
const MOST_UNFOLDED_BYTES = 64 << 20

/**
 * A body as it stands in the store.
 *
 * @throws {ValidationError} if it is too long for etcd even when it is compressed
 */
export async function packBody(what: string, value: unknown): Promise<unknown> {
  const text = JSON.stringify(value)
  if (text.length <= PLAIN_BYTES) return value
  const packed = (await promisify(gzip)(text)).toString('base64')
  if (packed.length <= MOST_BODY_BYTES) return { gzip: packed }
  throw new ValidationError(`${what} is too long to be sent through etcd: ${packed.length} bytes, and ${MOST_BODY_BYTES} at most`)
}

/**
 * What was packed.
 *
 * @throws {ValidationError} if it can't be unfolded, or is no JSON
 */
export async function unpackBody(body: unknown): Promise<unknown> {
  const packed = compressedSchema.safeParse(body)
  if (!packed.success) return body
  try {
    const bytes = await promisify(gunzip)(Buffer.from(packed.data.gzip, 'base64'), { maxOutputLength: MOST_UNFOLDED_BYTES })
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new ValidationError('the body can not be unfolded', [], { cause })
  }
}

const compressedSchema = z.strictObject({ gzip: z.string() })
