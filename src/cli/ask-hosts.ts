import { randomUUID } from 'node:crypto'
import { LIVE_PREFIX } from '../model/keys.ts'
import { type About, type AskAnswer, type AskKind, askKey, decodeAnswer, packBody, unpackBody } from '../model/own/ask.ts'
import type { Store } from '../store/store.ts'

/** The question outlives its answer only where the asker dies. Seconds. */
const LEASE_SECONDS = 60

/** A question to hosts. */
export interface Question {
  /** Without: whether the revision is applied. */
  readonly kind?: AskKind
  readonly body?: unknown
  readonly about?: About
  /** The host answers when it has applied this. */
  readonly revision: number
  /** The hosts that are asked; undefined: all. */
  readonly nodes: ReadonlySet<string> | undefined
  /** So long answers are waited for. */
  readonly seconds: number
}

/** Who was asked, and what they said. */
export interface Asked {
  /** Hosts that are alive and were asked. */
  readonly hosts: readonly string[]
  readonly answers: readonly AskAnswer[]
}

/** Asks the hosts that are alive, and waits for their answers. */
export async function askHosts(store: Store, question: Question, signal: AbortSignal): Promise<Asked> {
  const { kind, about, revision, nodes, seconds } = question
  const hosts = (await liveHosts(store, signal)).filter((node) => nodes === undefined || nodes.has(node))
  if (hosts.length === 0) return { hosts, answers: [] }
  const more = kind === undefined ? {} : { kind, body: await packBody('the question', question.body) }
  const lease = await store.lease(LEASE_SECONDS + seconds, signal)
  try {
    const key = askKey(randomUUID())
    const value = JSON.stringify({ revision, lease: String(lease.id), about, ...more })
    const asked = await store.commit([{ key, modRevision: 0 }], [{ put: key, value, lease: lease.id }], signal)
    return { hosts, answers: await gather(store, { prefix: `${key}/`, from: asked.revision + 1, hosts, seconds }, signal) }
  } finally {
    await lease.revoke().catch(() => {
      // It runs out by itself.
    })
  }
}

interface Gathering {
  readonly prefix: string
  readonly from: number
  readonly hosts: readonly string[]
  readonly seconds: number
}

async function gather(store: Store, { prefix, from, hosts, seconds }: Gathering, signal: AbortSignal): Promise<readonly AskAnswer[]> {
  const answers = new Map<string, AskAnswer>()
  const stop = new AbortController()
  const ends = AbortSignal.any([signal, stop.signal])
  const timer = setTimeout(() => stop.abort(), seconds * 1000)
  try {
    for await (const { events } of store.watch(prefix, from, ends)) {
      for (const { entry } of events) {
        const answer = entry && decodeAnswer(entry.value)
        if (answer !== undefined) answers.set(answer.node, answer)
      }
      if (hosts.every((host) => answers.has(host))) stop.abort()
    }
  } finally {
    clearTimeout(timer)
  }
  return [...answers.values()].filter(({ node }) => hosts.includes(node))
}

/** The hosts that say that they live. */
export async function liveHosts(store: Store, signal: AbortSignal): Promise<readonly string[]> {
  const nodes: string[] = []
  for await (const page of store.list(LIVE_PREFIX, {}, signal)) nodes.push(...page.entries.map(({ key }) => key.slice(LIVE_PREFIX.length)))
  return nodes
}

/** What became of a question on each host that it concerns. */
export interface Said<T> {
  readonly answers: ReadonlyMap<string, T>
  /** Why a host did not answer, in words. */
  readonly silent: ReadonlyMap<string, string>
}

/** Answers are waited for so long. Seconds. */
export const ANSWER_SECONDS = 5

/** Asks a question of a kind; who can't answer is told with why. Hosts that are not alive are not waited for. */
export async function askKind<T>(
  store: Store,
  question: { readonly kind: AskKind; readonly body: unknown; readonly revision: number; readonly nodes: ReadonlySet<string> },
  read: (body: unknown) => T,
  signal: AbortSignal,
): Promise<Said<T>> {
  const { hosts, answers } = await askHosts(store, { ...question, seconds: ANSWER_SECONDS }, signal)
  const said = new Map<string, T>()
  const silent = new Map<string, string>()
  for (const node of [...question.nodes].sort()) {
    const answer = answers.find((one) => one.node === node)
    const why = answer === undefined ? whySilent(hosts.includes(node)) : whyUnanswered(answer)
    if (why === undefined && answer !== undefined) said.set(node, read(await unpackBody(answer.body)))
    else silent.set(node, why ?? '')
  }
  return { answers: said, silent }
}

function whySilent(isAlive: boolean): string {
  return isAlive ? `did not answer within ${ANSWER_SECONDS} s` : 'is not alive'
}

function whyUnanswered({ kind, problem }: AskAnswer): string | undefined {
  if (problem !== undefined) return `could not answer: ${problem}`
  return kind === undefined ? 'has an older version, which does not know such questions' : undefined
}
