import type { EndpointChange, ResourceChange } from '../model/own/questions.ts'
import type { LocalEndpoint } from '../policy/evaluate.ts'
import { nameOfPolicy, type RuleSource } from '../policy/explain.ts'
import type { Policy } from '../policy/policies.ts'

/** Before and after a change. */
export interface Compared<T> {
  readonly before: T
  readonly after: T
}

/** What a change makes of the policies of a host's endpoints; endpoints that it leaves as they are, are not there. */
export function* endpointChanges(
  endpoints: Compared<ReadonlyMap<string, LocalEndpoint>>,
  sources: Compared<RuleSource>,
  changes: readonly ResourceChange[],
): Generator<undefined, readonly EndpointChange[]> {
  const profiles = new Set(changes.flatMap(({ kind, id }) => (kind === 'Profile' ? [id] : [])))
  const found: EndpointChange[] = []
  for (const id of new Set([...endpoints.before.keys(), ...endpoints.after.keys()])) {
    yield
    const change = compare(id, { before: endpoints.before.get(id), after: endpoints.after.get(id) }, sources, profiles)
    if (change !== undefined) found.push(change)
  }
  return found.sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1))
}

function compare(
  endpoint: string,
  { before, after }: Compared<LocalEndpoint | undefined>,
  sources: Compared<RuleSource>,
  changedProfiles: ReadonlySet<string>,
): EndpointChange | undefined {
  const [had, has] = [policiesOf(before), policiesOf(after)]
  const name = (policy: Policy, source: RuleSource) => {
    const staged = policy.isStaged ? ' (staged)' : ''
    return `${nameOfPolicy(source.read.resources.get(policy.key), policy.key)}${staged}, tier ${policy.tier}`
  }
  const added = [...has.values()].flatMap((policy) => (had.has(policy.key) ? [] : [name(policy, sources.after)]))
  const removed = [...had.values()].flatMap((policy) => (has.has(policy.key) ? [] : [name(policy, sources.before)]))
  // Resources that did not change are the same objects, before and after.
  const isOther = ({ key }: Policy) => sources.before.read.resources.get(key) !== sources.after.read.resources.get(key)
  const changed = [...has.values()].flatMap((policy) => (had.has(policy.key) && isOther(policy) ? [name(policy, sources.after)] : []))
  const notes = before === undefined || after === undefined ? [] : notesOf({ before, after }, changedProfiles)
  const is = before === undefined ? 'new' : after === undefined ? 'gone' : 'changed'
  if (is === 'changed' && [added, removed, changed, notes].every((list) => list.length === 0)) return undefined
  return { endpoint, is, added, removed, changed, notes }
}

function policiesOf(endpoint: LocalEndpoint | undefined): ReadonlyMap<string, Policy> {
  return new Map((endpoint?.tiers ?? []).flatMap(({ policies }) => policies.map((policy) => [policy.key, policy] as const)))
}

function notesOf({ before, after }: Compared<LocalEndpoint>, changedProfiles: ReadonlySet<string>): string[] {
  const notes: string[] = []
  const action = (endpoint: LocalEndpoint) => new Map(endpoint.tiers.map(({ name, defaultAction }) => [name, defaultAction]))
  const [had, has] = [action(before), action(after)]
  for (const [tier, now] of has) {
    const then = had.get(tier)
    if (then === undefined) notes.push(`tier ${tier} begins to apply, its default is ${now}`)
    else if (then !== now) notes.push(`the default of tier ${tier} becomes ${now}, it was ${then}`)
  }
  for (const tier of had.keys()) if (!has.has(tier)) notes.push(`tier ${tier} applies no more`)
  if (isReordered(before, after)) notes.push('policies are asked in another order')
  const names = ({ profiles }: LocalEndpoint) => profiles.map(({ name }) => name).join(', ')
  if (names(before) !== names(after)) notes.push(`its profiles become ${names(after) || '(none)'}, they were ${names(before) || '(none)'}`)
  for (const { name } of after.profiles) if (changedProfiles.has(name)) notes.push(`profile ${name} changes`)
  return notes
}

/** Whether policies that stay, or their tiers, change places. */
function isReordered(before: LocalEndpoint, after: LocalEndpoint): boolean {
  const [had, has] = [[...policiesOf(before).keys()], [...policiesOf(after).keys()]]
  const [old, kept] = [new Set(had), new Set(has)]
  const [then, now] = [had.filter((key) => kept.has(key)), has.filter((key) => old.has(key))]
  return then.some((key, index) => key !== now[index])
}
