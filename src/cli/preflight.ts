import type { Command } from 'commander'
import { MargayError } from '../errors.ts'
import type { ResourceKind } from '../model/kinds.ts'
import { type CutSession, type ResourceChange, readSessionsAnswer, type SessionsAnswer, sendChanges } from '../model/own/questions.ts'
import { isObject } from '../model/shape.ts'
import { areAutomatic, withAutomatic } from '../questions/automatic-changes.ts'
import { readView } from '../store/read-view.ts'
import { listResources } from '../store/resource-store.ts'
import type { Store } from '../store/store.ts'
import { askKind } from './ask-hosts.ts'
import type { Context } from './context.ts'
import { type Rehearsal, rehearse } from './rehearsal.ts'
import type { NotedSession } from './session.ts'
import { parseSshConnection } from './ssh-connections.ts'
import { createStoredHosts } from './stored-sessions.ts'
import type { Doing } from './together.ts'

/** Kinds that decide about packets of host endpoints. */
const DECIDING: ReadonlySet<ResourceKind> = new Set<ResourceKind>([
  'HostEndpoint',
  'GlobalNetworkPolicy',
  'Tier',
  'Profile',
  'GlobalNetworkSet',
  'NetworkSet',
  'FelixConfiguration',
  // Automatic host endpoints.
  'KubeControllersConfiguration',
])

/** Kinds that make host endpoints where there are none yet. */
const MAKING: readonly ResourceKind[] = ['HostEndpoint', 'KubeControllersConfiguration']

/** Adds `--force`; as calicoctl there is no pre-flight that it could skip. */
export function addForceOption(command: Command, { program }: Pick<Context, 'program'>): Command {
  return program === 'calicoctl' ? command : command.option('--force', 'also what cuts connections of administrators or of etcd')
}

/**
 * Refuses what would cut, on any host with a host endpoint, the connections of administrators or of etcd. Hosts look at their own; of those
 * that do not answer what the store knows is looked at. Without host endpoints, and for kinds that decide nothing about them, nobody is asked.
 *
 * @throws {MargayError} `would-cut`, naming each connection with the policy and rule that would deny it
 */
export async function preflight<T>(command: Command, context: Context, session: NotedSession, intended: Doing<T, unknown>): Promise<void> {
  const { force, dryRun } = command.opts<{ force?: true; dryRun?: true }>()
  if (context.program === 'calicoctl' || force || dryRun) return
  const items = intended.items.filter((item) => DECIDING.has(intended.refOf(item).kind))
  if (items.length === 0) return
  const standing = await nodesWithEndpoints(session.store, context.signal)
  if (standing.nodes.size === 0 && !items.some((item) => MAKING.includes(intended.refOf(item).kind))) return
  const rehearsed = (await rehearse(session.store, { ...intended, items })).changes
  const changes = areAutomatic(rehearsed) ? withAutomatic(await readView(session.store, context.signal), rehearsed) : rehearsed
  const nodes = new Set([...standing.nodes, ...changes.flatMap(nodeOf)])
  if (changes.length === 0 || nodes.size === 0) return
  const found = await askSessions(session, context, { changes, nodes, revision: standing.revision })
  for (const note of found.notes) context.err(`${context.program}: note: ${note}\n`)
  if (found.cut.length > 0) throw new MargayError('would-cut', describeCut(found.cut, intended.items.length))
}

interface Found {
  readonly cut: readonly (readonly [node: string, session: CutSession])[]
  readonly notes: readonly string[]
}

async function askSessions(
  { store, endpoints }: NotedSession,
  context: Context,
  { changes, nodes, revision }: Pick<Rehearsal, 'changes'> & { readonly nodes: ReadonlySet<string>; readonly revision: number },
): Promise<Found> {
  const callers = context.sshConnections().flatMap((text) => {
    const flow = parseSshConnection(text)
    return flow === undefined ? [] : [flow]
  })
  const body = { changes: sendChanges(changes), callers }
  const { answers, silent } = await askKind(store, { kind: 'sessions', body, revision, nodes }, readSessionsAnswer, context.signal)
  const cut = [...answers].flatMap(([node, answer]) => answer.cut.map((one) => [node, one] as const))
  if (silent.size === 0) return { cut, notes: notesOf(answers) }
  const view = await readView(store, context.signal)
  const stored = createStoredHosts(view, changes, { callers, endpoints })
  // A host that has never been in the network has nothing that could be cut.
  const known = [...silent].filter(([node]) => view.get('Node').has(node))
  const cutThere = known.flatMap(([node]) => stored.cutOn(node).map((one) => [node, one] as const))
  const notes = known.map(([node, why]) => `${node} ${why}: of its connections only those are looked at that follow from the store`)
  return { cut: [...cut, ...cutThere], notes: [...notesOf(answers), ...notes] }
}

function notesOf(answers: ReadonlyMap<string, SessionsAnswer>): readonly string[] {
  return [...answers].flatMap(([node, { problems }]) => problems.map((problem) => `${node}: ${problem}`))
}

function describeCut(cut: Found['cut'], count: number): string {
  const lines = cut.map(([node, { what, source, destination, because }]) => {
    const end = ({ address, port }: CutSession['source']) => `${address} port ${port}`
    return `  ${node}: ${what} from ${end(source)} to ${end(destination)}: ${because}`
  })
  const whose = 'new connections of administrators or of etcd'
  return `nothing was ${count === 0 ? 'done' : 'written'}: it would cut ${whose} (--force does it all the same):\n${lines.join('\n')}`
}

/** The hosts of host endpoints, and a revision that has all of them. */
async function nodesWithEndpoints(store: Store, signal: AbortSignal) {
  const { resources } = await listResources(store, { kind: 'HostEndpoint' }, signal)
  // Hosts follow resources only: a revision that a lease or a question made they never reach.
  const revision = Math.max(0, ...resources.map(({ metadata }) => Number(metadata.resourceVersion ?? 0)))
  return { nodes: new Set(resources.flatMap(({ spec }) => spec.node ?? [])), revision }
}

function nodeOf({ kind, resource }: ResourceChange): readonly string[] {
  const spec: unknown = kind === 'HostEndpoint' ? resource?.spec : undefined
  return isObject(spec) && typeof spec['node'] === 'string' ? [spec['node']] : []
}
