import { InvalidArgumentError } from 'commander'
import { DURATION_PATTERN, parseDuration } from '../../model/duration.ts'
import type { HostEndpoint } from '../../model/host-endpoint.ts'
import type { StatusReport } from '../../model/own/api.ts'
import type { ObservedGroup, ObservedReport, ObserveRequest } from '../../model/own/observed.ts'
import { idOfResource, sendChanges } from '../../model/own/questions.ts'
import { isIp, parseIp } from '../../net/ip.ts'
import { PROTOCOL_NUMBERS } from '../../net/port.ts'
import { apiFor } from '../api.ts'
import { type AddCommand, UsageError } from '../context.ts'
import { addFileOptions, type FileOptions, readGiven } from '../file-options.ts'
import { renderJson, renderTable, renderYaml } from '../format.ts'
import { addApiOptions, addOutputOption, collect, parseLabels } from '../options.ts'

const EXAMPLES = `
Examples:
  margay observe --interface eth0 --label role=host
  margay observe -f endpoint.yaml -f policies.yaml --duration 10m
  margay observe --expected-ip 192.0.2.1 --profile open -o json

Nothing is written, and nothing is changed in the kernel: the connections of this host that are tracked while it runs, and those that were
there before, are judged as if the host endpoint existed, with the policies in etcd and in the documents. Policies that select the host
endpoint by its labels count.`

interface ObserveOptions extends FileOptions {
  readonly interface?: string
  readonly expectedIp?: readonly string[]
  readonly label?: readonly string[]
  readonly profile?: readonly string[]
  readonly duration: number
  readonly output: string
}

/** `margay observe`. */
export const addObserveCommand: AddCommand = (parent, context) => {
  const command = addFileOptions(
    parent.command('observe').description('show what a host endpoint that does not exist yet would drop of real traffic'),
  )
  command
    .option('--interface <name>', 'interface that the host endpoint would be for, * for all')
    .option('--expected-ip <address>', 'address by which its interface would be found; may be repeated', collect)
    .option('--label <key=value>', 'label that it would have; may be repeated', collect)
    .option('--profile <name>', 'profile that it would have; may be repeated', collect)
    .option('--duration <time>', 'how long to look, as 60s or 10m', readSeconds, 60)
  addApiOptions(addOutputOption(command, ['text', 'json', 'yaml']))
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const options = command.opts<ObserveOptions>()
      const api = apiFor(command, context)
      const given = options.filename === undefined ? [] : (await readGiven(command, context)).map(({ resource }) => resource)
      const { node } = await api.call<StatusReport>({ path: '/v1/status' })
      const resources = [...given, ...endpointOf(options, node)]
      if (!resources.some(({ kind }) => kind === 'HostEndpoint'))
        throw new UsageError('give a host endpoint: --interface or --expected-ip, or -f with one in it')
      const changes = resources.map((resource) => ({ kind: resource.kind, id: idOfResource(resource.kind, resource.metadata), resource }))
      const body: ObserveRequest = { changes: sendChanges(changes), seconds: options.duration }
      if (options.output === 'text') context.err(`${context.program}: note: looking for ${options.duration} s\n`)
      const asked = { method: 'POST', path: '/v1/observe', body, timeoutMs: (options.duration + 30) * 1000 } as const
      const report = await api.call<ObservedReport>(asked)
      context.out(options.output === 'json' ? renderJson(report) : options.output === 'yaml' ? renderYaml(report) : renderObserved(report))
    })
}

/** The host endpoint that options describe. */
function endpointOf({ interface: name, expectedIp = [], label = [], profile = [] }: ObserveOptions, node: string): readonly HostEndpoint[] {
  const labels = parseLabels(label)
  if (name === undefined && expectedIp.length === 0) {
    if (label.length + profile.length > 0)
      throw new UsageError('--label and --profile are for a host endpoint: give --interface or --expected-ip')
    return []
  }
  const wrong = expectedIp.find((ip) => !isIp(ip))
  if (wrong !== undefined) throw new UsageError(`--expected-ip ${JSON.stringify(wrong)} is not an address`)
  const spec = {
    node,
    ...(name === undefined ? {} : { interfaceName: name }),
    ...(expectedIp.length === 0 ? {} : { expectedIPs: expectedIp.map((ip) => parseIp(ip)) }),
    ...(profile.length === 0 ? {} : { profiles: profile }),
  }
  return [{ apiVersion: 'projectcalico.org/v3', kind: 'HostEndpoint', metadata: { name: 'observed', labels }, spec }]
}

function readSeconds(text: string): number {
  const seconds = new RegExp(DURATION_PATTERN).test(text) ? parseDuration(text) / 1000 : Number.NaN
  if (seconds >= 1 && seconds <= 86_400) return Math.round(seconds)
  throw new InvalidArgumentError('Give a time from 1s to 24h.')
}

/** The report for people; the first line says what would be denied. */
export function renderObserved({ seconds, endpoints, denied, allowed, groups, groupsTotal }: ObservedReport): string {
  const where = Object.entries(endpoints).map(([id, names]) => `${id} on ${names.join(', ')}`)
  const head = `${denied} of ${denied + allowed} connections seen in ${seconds} s would be denied (${where.join('; ')})\n`
  if (groups.length === 0) return head
  const header = ['VERDICT', 'DIRECTION', 'INTERFACE', 'PROTO', 'PORT', 'PEER', 'COUNT', 'BECAUSE']
  const more = groupsTotal > groups.length ? `and ${groupsTotal - groups.length} more\n` : ''
  return `${head}\n${renderTable(header, groups.map(describeGroup))}${more}`
}

function describeGroup({ verdict, direction, interface: name, protocol, port, peer, count, because }: ObservedGroup): readonly string[] {
  const proto = Object.entries(PROTOCOL_NUMBERS).find(([, number]) => number === protocol)?.[0] ?? String(protocol)
  return [verdict, direction, name, proto, port === undefined ? '-' : String(port), peer, String(count), because]
}
