import type { ResourceRef } from '../store/resource-store.ts'
import type { Context, ExitCode } from './context.ts'
import { exitCode, messageOf, reportEach, type Settled, tellEach } from './report.ts'

/** What is done with resources that a person gives, and how calicoctl says that it was done. */
export const PAST = {
  apply: 'applied',
  create: 'created',
  replace: 'replaced',
  delete: 'deleted',
  patch: 'patched',
  validate: 'validated',
} as const

/** Resources that something is done with. */
export interface Writes<T> {
  readonly verb: keyof typeof PAST
  readonly items: readonly T[]
  /** What was done with them, in words, as far as it is. */
  readonly done: AsyncIterable<readonly Settled<T, string>[]>
  refOf(item: T): Pick<ResourceRef, 'kind'>
  /** Where a person gave it. */
  placeOf?(item: T): string | undefined
}

/** Reports what is done: each by itself, or as calicoctl does with one sentence about all. Gives the exit code. */
export async function reportWrites<T>(context: Context, writes: Writes<T>): Promise<ExitCode> {
  const { items, verb } = writes
  if (context.program === 'margay') return reportEach(context, writes, (item) => writes.placeOf?.(item))
  const said: string[] = []
  const faults: string[] = []
  const done = await tellEach(context, writes, {
    done: (text) => said.push(text),
    failed: (error, item) =>
      faults.push([writes.placeOf?.(item), messageOf(context.program, error)].filter((part) => part !== undefined).join(': ')),
  })
  const kinds = new Set(items.map((item) => writes.refOf(item).kind))
  const kind = kinds.size === 1 ? `'${[...kinds].join('')}' ` : ''
  if (done === items.length) {
    context.out(`Successfully ${PAST[verb]} ${done} ${kind}resource${verb === 'patch' ? '' : '(s)'}\n`)
  } else if (done === 0) {
    context.err(`Failed to ${verb} ${items.length === 1 ? `${kind}resource` : `any ${kind}resources`}: [${faults.join(', ')}]\n`)
  } else {
    context.out(
      `Partial success: ${PAST[verb]} ${done} out of ${items.length} ${kind}resources:\n${said.map((line) => `  ${line}\n`).join('')}`,
    )
    context.err(`Hit error(s): [${faults.join(', ')}]\n`)
  }
  return exitCode(items, done)
}
