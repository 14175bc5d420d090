import type { Command } from 'commander'
import type { ResourceKind } from '../model/kinds.ts'
import type { About } from '../model/own/ask.ts'
import { isObject } from '../model/shape.ts'
import { type Asked, askHosts } from './ask-hosts.ts'
import { type Context, type ExitCode, UsageError } from './context.ts'
import { parseCount } from './options.ts'
import type { NotedSession } from './session.ts'

/** What tells of a resource which hosts it concerns. */
export interface Concerning {
  readonly kind: ResourceKind
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined }
  readonly spec?: unknown
}

/** What of these resources tells which troubles of a host they concern. */
function aboutOf(resources: readonly Concerning[]): About {
  const endpoints = resources.filter(({ kind }) => kind === 'WorkloadEndpoint')
  return {
    kinds: [...new Set(resources.map(({ kind }) => kind))],
    endpoints: endpoints.map(({ metadata: { namespace = 'default', name } }) => `${namespace}/${name}`),
  }
}

/** The hosts that resources of these concern, where each concerns one; undefined when one concerns all. */
export function concernedNodes(resources: readonly Concerning[]): ReadonlySet<string> | undefined {
  const nodes = new Set<string>()
  for (const resource of resources) {
    const node = nodeOf(resource)
    if (node === undefined) return undefined
    nodes.add(node)
  }
  return nodes
}

/** A workload endpoint concerns all: others' policies may select it. */
function nodeOf({ kind, metadata, spec }: Concerning): string | undefined {
  if (kind === 'FelixConfiguration' || kind === 'BGPConfiguration') return /^node\.(.+)$/.exec(metadata.name)?.[1]
  if (kind !== 'HostEndpoint' && kind !== 'BGPPeer') return undefined
  return isObject(spec) && typeof spec['node'] === 'string' ? spec['node'] : undefined
}

/** How a change went on the hosts, in words, and whether on all. */
export function describeApplied({ hosts, answers }: Asked, seconds: number): { readonly text: string; readonly isWhole: boolean } {
  if (hosts.length === 0) return { text: 'no host that it concerns is alive: it is applied when one starts', isWhole: true }
  const silent = hosts.filter((host) => !answers.some(({ node }) => node === host))
  const refusing = answers.filter(({ refused }) => refused > 0)
  const applied = hosts.length - silent.length - refusing.length
  const lines = [
    `applied on ${applied} of ${hosts.length} ${hosts.length === 1 ? 'host' : 'hosts'}`,
    ...refusing.map(({ node, refused, reasons }) => `${node} refuses ${refused}: ${reasons.join('; ')}`),
    ...answers.flatMap(({ node, others = 0 }) =>
      others > 0 ? [`${node} refuses ${others} that this is not about: "margay status" there names them`] : [],
    ),
    ...silent.map((node) => `${node} did not answer within ${seconds} s`),
  ]
  return { text: lines.join('\n  '), isWhole: applied === hosts.length }
}

/** @throws {UsageError} where there will be nothing to wait for */
export function checkWait(command: Command): void {
  const { wait, dryRun } = command.opts<{ wait?: number | true; dryRun?: true }>()
  if (wait !== undefined && dryRun)
    throw new UsageError('a dry run writes nothing that could be waited for: give one of --wait and --dry-run')
}

/** Adds `--wait`. */
export function addWaitOption(command: Command): Command {
  const about = `wait until the hosts have applied it, ${DEFAULT_SECONDS} s unless given, and say which have not`
  return command.option('--wait [seconds]', about, parseCount(1, 3600))
}

const DEFAULT_SECONDS = 30

/** With `--wait`: waits, says how it went, and gives the exit code that this leaves. */
export async function waitAfter(
  command: Command,
  context: Context,
  session: NotedSession,
  written: { readonly code: ExitCode; readonly resources: readonly Concerning[] },
): Promise<ExitCode> {
  const { wait } = command.opts<{ wait?: number | true }>()
  const seconds = wait === true ? DEFAULT_SECONDS : wait
  if (seconds === undefined || context.signal.aborted || (written.code !== 0 && session.lastRevision() === 0)) return written.code
  const { resources } = written
  const question = { revision: session.lastRevision(), nodes: concernedNodes(resources), about: aboutOf(resources), seconds }
  const { text, isWhole } = describeApplied(await askHosts(session.store, question, context.signal), seconds)
  context.out(`${text}\n`)
  return isWhole ? written.code : 3
}
