import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { AttachRequest, WorkloadReport } from '../../model/own/api.ts'
import { isIp, parseIp } from '../../net/ip.ts'
import { apiFor } from '../api.ts'
import { type AddCommand, type Context, UsageError } from '../context.ts'
import { joinOrDash, renderFacts, renderJson, renderTable, renderYaml } from '../format.ts'
import { addApiOptions, addNamespaceOption, addOutputOption, checkNames, collect, parseCount, parseLabels } from '../options.ts'
import { doEach, reportEach } from '../report.ts'

const ADD_EXAMPLES = `
Examples:
  ip netns add web && margay workload add web --netns web
  margay workload add db --netns /run/netns/db --ip 10.65.0.10 --label app=db
  margay workload add job --pid 4711 -n batch --pool default-ipv4-ippool

A namespace that was given by path is attached again after a reboot when it stands at that path again; one given by process id is not.`

const LIST_EXAMPLES = `
Examples:
  margay workload list
  margay workload list -o json`

const RM_EXAMPLES = `
Examples:
  margay workload rm web
  margay workload rm -n batch job1 job2`

/** How long a workload may take: its address needs etcd (5 s), its interface a pass. Milliseconds. */
const ATTACH_TIMEOUT_MS = 60_000

/** `margay workload add|list|show|rm`. */
export const addWorkloadCommand: AddCommand = (parent, context, outcome) => {
  const workload = parent.command('workload').description('attach network namespaces of this host as workloads')
  defineAdd(workload.command('add'), context)
  defineList(workload.command('list').alias('ls'), context)
  defineShow(workload.command('show'), context)
  const remove = workload
    .command('rm')
    .description('take workloads out of the network and free their addresses')
    .argument('<name...>', 'names')
  addNamespaceOption(addApiOptions(remove))
    .addHelpText('after', RM_EXAMPLES)
    .action(async (names: readonly string[]) => {
      checkNames(names)
      const api = apiFor(remove, context)
      const namespace = String(remove.getOptionValue('namespace'))
      const done = doEach(names, async (name) => {
        await api.call({ method: 'DELETE', path: pathOf(namespace, name), timeoutMs: ATTACH_TIMEOUT_MS })
        return `workload ${namespace}/${name} removed`
      })
      outcome.code = await reportEach(context, { items: names, done })
    })
}

interface AddOptions {
  readonly netns?: string
  readonly pid?: number
  readonly ip?: readonly string[]
  readonly label?: readonly string[]
  readonly pool?: readonly string[]
  readonly namespace: string
  readonly output: string
}

function defineAdd(command: Command, context: Context): void {
  command
    .description('attach a network namespace, and wait until it can talk')
    .argument('<name>', 'name of the workload')
    .option('--netns <path>', 'network namespace: a path, or a name of "ip netns"')
    .option('--pid <pid>', 'network namespace of this process', parseCount(1, 4_194_304))
    .option('--ip <address>', 'this address; once for each family', collect)
    .option('--label <key=value>', 'label of the workload; may be repeated', collect)
    .option('--pool <name>', 'pool to take an address from; may be repeated', collect)
  addNamespaceOption(addOutputOption(addApiOptions(command), ['text', 'json']))
    .addHelpText('after', ADD_EXAMPLES)
    .action(async (name: string) => {
      const options = command.opts<AddOptions>()
      const body = attachRequest(name, options)
      const report = await apiFor(command, context).call<WorkloadReport>({
        method: 'POST',
        path: '/v1/workloads',
        body,
        timeoutMs: ATTACH_TIMEOUT_MS,
      })
      const said = `workload ${report.namespace}/${report.name} has ${joinOrDash(report.addresses)} on ${report.interface}\n`
      context.out(options.output === 'json' ? renderJson(report) : said)
    })
}

/** @throws {UsageError} when flags are missing or do not fit together */
function attachRequest(name: string, options: AddOptions): AttachRequest {
  checkNames([name])
  const { netns, pid, ip, label, pool, namespace } = options
  if ((netns === undefined) === (pid === undefined)) throw new UsageError('give exactly one of --netns and --pid')
  return {
    name,
    namespace,
    ...(netns === undefined ? {} : { netns: netnsPath(netns) }),
    ...(pid === undefined ? {} : { pid }),
    ...(ip === undefined ? {} : { ips: checkAddresses(ip) }),
    ...(label === undefined ? {} : { labels: parseLabels(label) }),
    ...(pool === undefined ? {} : { pools: pool }),
  }
}

/** The daemon has another working directory, so paths are made absolute here. */
function netnsPath(given: string): string {
  if (given === '') throw new UsageError('--netns is empty, give a path or a name of "ip netns"')
  return given.includes('/') ? resolve(given) : `/run/netns/${given}`
}

function checkAddresses(texts: readonly string[]): readonly string[] {
  const wrong = texts.find((text) => !isIp(text))
  if (wrong !== undefined) throw new UsageError(`--ip ${JSON.stringify(wrong)} is not an IP address, give one such as 10.65.0.10`)
  const addresses = texts.map(parseIp)
  const twice = addresses.find((address, i) => addresses.findIndex((other) => other.includes(':') === address.includes(':')) !== i)
  if (twice !== undefined) throw new UsageError(`--ip ${twice} is the second of its family, a workload has one of each`)
  return addresses
}

function defineList(command: Command, context: Context): void {
  command.description('list the workloads of this host')
  addOutputOption(addApiOptions(command), ['text', 'json', 'yaml'])
    .addHelpText('after', LIST_EXAMPLES)
    .action(async () => {
      const reports = await apiFor(command, context).call<readonly WorkloadReport[]>({ path: '/v1/workloads' })
      const output = command.getOptionValue('output')
      if (output === 'json') context.out(renderJson(reports))
      else if (output === 'yaml') context.out(renderYaml(reports))
      else if (reports.length === 0) context.out('this host has no workloads\n')
      else context.out(renderTable(['NAMESPACE', 'NAME', 'ADDRESSES', 'INTERFACE', 'ORCHESTRATOR', 'STATE'], reports.map(rowOf)))
    })
}

function rowOf(report: WorkloadReport): readonly string[] {
  return [report.namespace, report.name, joinOrDash(report.addresses), report.interface, report.orchestrator, report.state]
}

function defineShow(command: Command, context: Context): void {
  command.description('show one workload of this host').argument('<name>', 'name of the workload')
  addNamespaceOption(addOutputOption(addApiOptions(command), ['text', 'json', 'yaml'])).action(async (name: string) => {
    checkNames([name])
    const { namespace, output } = command.opts<{ namespace: string; output: string }>()
    const report = await apiFor(command, context).call<WorkloadReport>({ path: pathOf(namespace, name) })
    context.out(output === 'json' ? renderJson(report) : output === 'yaml' ? renderYaml(report) : renderWorkload(report))
  })
}

function renderWorkload(report: WorkloadReport): string {
  const labels = Object.entries(report.labels).map(([key, value]) => `${key}=${value}`)
  return renderFacts([
    ['Name', report.name],
    ['Namespace', report.namespace],
    ['State', report.state],
    ['Addresses', joinOrDash(report.addresses)],
    ['Interface', report.interface],
    ['Orchestrator', report.orchestrator],
    ['Labels', joinOrDash(labels)],
    ['Netns', report.netns ?? '-'],
  ])
}

function pathOf(namespace: string, name: string): string {
  return `/v1/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
}
