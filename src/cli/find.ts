import { ConflictError, describeError, StoreError } from '../errors.ts'
import type { AnyResource, ResourceKind } from '../model/kinds.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'
import { getResource, listResources, type ResourceRef } from '../store/resource-store.ts'
import { type Context, type Program, UsageError } from './context.ts'
import { calicoNameOf, nameOf } from './kind.ts'
import { renderError } from './report.ts'
import type { Session } from './session.ts'

/** What a person wants to see: all of a kind, or these by name. */
export interface Asked {
  readonly kind: ResourceKind
  readonly names: readonly string[] | undefined
  /** Of namespaced kinds: undefined for all namespaces. */
  readonly namespace: string | undefined
}

/** What there is of it. */
export interface Found {
  readonly kind: ResourceKind
  readonly resources: readonly AnyResource[]
  /** For a list: etcd's revision at which it was read. Named ones stand by themselves. */
  readonly revision: number | undefined
}

/** A selector of the command line must be read in a moment. */
const MOST_SELECTOR = 1024

/** Reads what was asked for; what is named and not there, or can't be read, is given in words. */
export async function findAll(
  session: Session,
  context: Context,
  asked: readonly Asked[],
  selector: string | undefined,
): Promise<{ readonly found: readonly Found[]; readonly missing: readonly string[] }> {
  const isSelected = selectorOf(selector)
  const found: Found[] = []
  const missing: string[] = []
  for (const { kind, names, namespace } of asked) {
    if (names === undefined) {
      found.push(await listKind(session, context, { kind, namespace, isSelected }))
      continue
    }
    const named = await findNamed(session, context, { kind, names, namespace })
    missing.push(...named.missing)
    found.push({ kind, resources: named.found.filter(isSelected), revision: undefined })
  }
  return { found, missing }
}

function selectorOf(text: string | undefined): (resource: AnyResource) => boolean {
  if (text === undefined) return () => true
  try {
    const selector = parseSelector(text, MOST_SELECTOR)
    return ({ metadata }) => matchesSelector(selector, lookupIn(metadata.labels))
  } catch (error) {
    throw new UsageError(`--selector ${JSON.stringify(text)} is not a selector: ${describeError(error)}`)
  }
}

/** What does not parse is named and left out: the others are still worth seeing. */
async function listKind(
  { store }: Session,
  context: Context,
  of: { readonly kind: ResourceKind; readonly namespace: string | undefined; readonly isSelected: (resource: AnyResource) => boolean },
): Promise<Found> {
  const { kind, namespace } = of
  const { resources, broken, revision } = await listResources(store, { kind, namespace }, context.signal)
  for (const { id, reason } of broken) context.err(`${context.program}: ${kind.toLowerCase()}/${id} cannot be read: ${reason}\n`)
  return { kind, resources: inOrder(resources.filter(of.isSelected)), revision }
}

async function findNamed(
  { store }: Session,
  context: Context,
  { kind, names, namespace }: { readonly kind: ResourceKind; readonly names: readonly string[]; readonly namespace: string | undefined },
): Promise<{ readonly found: readonly AnyResource[]; readonly missing: readonly string[] }> {
  const found: AnyResource[] = []
  const missing: string[] = []
  for (const name of names) {
    try {
      const resource = await getResource(store, { kind, name, namespace }, context.signal)
      if (resource !== undefined) found.push(resource)
      else missing.push(sayMissing(context.program, { kind, name, namespace }))
    } catch (error) {
      if (error instanceof StoreError) throw error
      missing.push(renderError(context.program, error))
    }
  }
  return { found, missing }
}

function sayMissing(program: Program, { kind, name, namespace }: ResourceRef): string {
  if (program === 'calicoctl') return `resource does not exist: ${calicoNameOf(kind, name, namespace)} with error: <nil>\n`
  return renderError(program, new ConflictError('not-found', `there is no ${nameOf(kind, name, namespace)}`))
}

/** Tiers in the order in which they are gone through, the others as etcd has them: by name. */
function inOrder(resources: readonly AnyResource[]): readonly AnyResource[] {
  const orderOf = (resource: AnyResource) => (resource.kind === 'Tier' ? (resource.spec.order ?? Number.POSITIVE_INFINITY) : 0)
  const difference = (a: AnyResource, b: AnyResource) => (orderOf(a) === orderOf(b) ? 0 : orderOf(a) - orderOf(b))
  return resources.toSorted(difference)
}
