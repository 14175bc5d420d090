import * as z from 'zod'
import { parseAs } from '../issues.ts'
import { parseJson } from '../json.ts'
import { MARGAY_PREFIX } from '../keys.ts'

/**
 * Who has written something asks all hosts when they have applied it: `/margay/v1/ask/<id>` holds the question, under a lease of the
 * asker; each host answers under `/margay/v1/ask/<id>/<node>` with the same lease, so that all of it goes with the asker.
 */
export const ASK_PREFIX = `${MARGAY_PREFIX}ask/`

/** The question. */
export interface Ask {
  /** Of the last resource that was written; 0: what is applied now. */
  readonly revision: number
  /** The asker's lease, decimal: it has 64 bits. */
  readonly lease: string
}

/** One host's answer, when its pass over that revision is over. */
export interface AskAnswer {
  readonly node: string
  readonly revision: number
  /** How many objects the kernel refuses now, and the first of them in words. */
  readonly refused: number
  readonly reasons: readonly string[]
}

const askSchema = z.object({ revision: z.number().int().nonnegative(), lease: z.string().regex(/^\d+$/) })
const answerSchema = z.object({ node: z.string(), revision: z.number(), refused: z.number(), reasons: z.array(z.string()) })

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
