import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import { describeError } from '../../errors.ts'
import { parseDuration } from '../../model/duration.ts'
import type { StatusReport } from '../../model/own/api.ts'
import { getResource } from '../../store/resource-store.ts'
import { apiFor } from '../api.ts'
import { type AddCommand, type Context, UsageError } from '../context.ts'
import { renderFacts, renderJson } from '../format.ts'
import { addApiOptions, addOutputOption, addStoreOptions } from '../options.ts'
import { type Session, withSession } from '../session.ts'

const EXAMPLES = `
Examples:
  margay version
  margay version --client`

/** `margay version`: of this command and of the daemon that runs here; as calicoctl of what etcd says of the cluster. */
export const addVersionCommand: AddCommand = (parent, context) => {
  const command = parent.command('version')
  if (context.program === 'calicoctl') defineCluster(command, context)
  else defineDaemon(command, context)
}

function defineDaemon(command: Command, context: Context): void {
  command.description('show the versions of this command and of the running daemon')
  addOutputOption(addApiOptions(command), ['text', 'json'])
    .option('--client', 'do not ask the daemon')
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { client, output } = command.opts<{ client?: true; output: string }>()
      const daemon = client ? undefined : await askDaemon(command, context)
      const facts: [string, string][] = [
        ['Client', context.version],
        ...(daemon === undefined ? [] : ([['Daemon', daemon]] as [string, string][])),
      ]
      context.out(output === 'json' ? renderJson({ client: context.version, daemon }) : renderFacts(facts))
    })
}

async function askDaemon(command: Command, context: Context): Promise<string> {
  try {
    return (await apiFor(command, context).call<StatusReport>({ path: '/v1/status' })).version
  } catch (error) {
    return `unknown: ${describeError(error)}`
  }
}

function defineCluster(command: Command, context: Context): void {
  command
    .description('show the version of this command and what etcd says of the cluster')
    .option('--client', 'do not ask etcd')
    .option('--poll <duration>', 'ask again after this time, such as 10s, and show what has changed')
  addStoreOptions(command).action(async () => {
    const { client, poll = '0' } = command.opts<{ client?: true; poll?: string }>()
    const pollMs = readPoll(poll)
    context.out(`Client Version:    ${context.version} (margay)\n`)
    if (client) return
    await withSession(command, context, async (session) => {
      let shown = ''
      do {
        const facts = await readCluster(session, context)
        if (facts !== shown) context.out(facts)
        shown = facts
        if (pollMs > 0) await delay(pollMs, undefined, { signal: context.signal })
      } while (pollMs > 0 && context.isRead())
    })
  })
}

function readPoll(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new UsageError(`--poll: ${describeError(error)}`)
  }
}

async function readCluster({ store }: Session, { signal }: Context): Promise<string> {
  const cluster = await getResource(store, { kind: 'ClusterInformation', name: 'default' }, signal)
  const { calicoVersion, clusterType } = cluster?.spec ?? {}
  return `Cluster Version:   ${calicoVersion ?? 'unknown'}\nCluster Type:      ${clusterType ?? 'unknown'}\n`
}
