import type { ExposedFrom, ExposedPort, ExposedReport, ExposedRequest } from '../../model/own/exposed.ts'
import { apiFor } from '../api.ts'
import type { AddCommand } from '../context.ts'
import { renderJson, renderTable, renderYaml } from '../format.ts'
import { addApiOptions, addOutputOption } from '../options.ts'

const EXAMPLES = `
Examples:
  margay audit exposed
  margay audit exposed --from world
  margay audit exposed --from 198.51.100.0/24 -o json

Shown are the sockets of this host that listen, and ports that NAT of other programs sends elsewhere (Docker's published ports), each with
whether policies of this host let it be reached from the world (an address that is in no set), from other hosts of the network, and from
workloads, and what decides that. "some": by some of those there. Nothing is sent: it is computed from policies and rules.`

/** `margay audit exposed`. */
export const addAuditCommand: AddCommand = (parent, context) => {
  const audit = parent.command('audit').description('look at what policies leave open')
  const command = audit.command('exposed').description('show what of this host can be reached from where, and why')
  command.option('--from <place>', 'only from there: world, hosts, workloads, an address or a prefix')
  addApiOptions(addOutputOption(command, ['text', 'json', 'yaml']))
    .addHelpText('after', EXAMPLES)
    .action(async () => {
      const { output, from } = command.opts<{ output: string; from?: string }>()
      const body: ExposedRequest = from === undefined ? {} : { from }
      const request = { method: 'POST', path: '/v1/audit/exposed', body, timeoutMs: 30_000 } as const
      const report = await apiFor(command, context).call<ExposedReport>(request)
      context.out(output === 'json' ? renderJson(report) : output === 'yaml' ? renderYaml(report) : renderExposed(report))
    })
}

/** The report for people. */
export function renderExposed({ places, ports, warnings }: ExposedReport): string {
  const header = ['PORT', 'PROTO', 'PROGRAM', 'ADDRESS', ...places.map((place) => `FROM ${place.toUpperCase()}`)]
  const rows = ports.map((port) => [...describePort(port), ...places.map((place) => describeFrom(port.from[place]))])
  const table = rows.length === 0 ? 'Nothing listens.\n' : renderTable(header, rows)
  return warnings.length === 0 ? table : `${table}\nWarnings:\n${warnings.map((warning) => `  ${warning}\n`).join('')}`
}

function describePort({ port, lastPort, protocol, program, address, publishedTo }: ExposedPort): readonly string[] {
  const ports = lastPort === undefined ? String(port) : `${port}-${lastPort}`
  const where = publishedTo === undefined ? address : `${address} to ${publishedTo}`
  return [ports, protocol, publishedTo === undefined ? (program ?? '?') : '(NAT)', where]
}

function describeFrom(from: ExposedFrom | undefined): string {
  return from === undefined || from.verdict === 'nobody' ? '-' : `${from.verdict}: ${from.because}`
}
