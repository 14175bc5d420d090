import { EventEmitter } from 'node:events'
import type { Argument, Command, Option } from 'commander'
import { GROUPS, SETTINGS, type Setting, shownDefault } from '../config.ts'

/** A page of the manual. */
export interface ManPage {
  /** `margay.1`. */
  readonly file: string
  /** man(7) source. */
  readonly text: string
}

/** The pages that are made of the commands and of the configuration's schema. */
export function renderManPages(program: Command, version: string): readonly ManPage[] {
  const footer = (name: string, section: number) =>
    `.TH ${name.toUpperCase()} ${section} "" "margay ${escapeText(version)}" "margay"\n.nh\n.ad l\n`
  return [
    { file: 'margay.1', text: footer('margay', 1) + commandPage(program) },
    { file: 'margayd.8', text: footer('margayd', 8) + daemonPage() },
    { file: 'margay.conf.5', text: footer('margay.conf', 5) + configPage() },
  ]
}

function commandPage(program: Command): string {
  const commands = leavesOf(program)
  return [
    section('NAME', `margay \\- ${escapeText(program.description())}\n`),
    section('SYNOPSIS', '.B margay\n.I command\n[options]\n'),
    section('DESCRIPTION', `${paragraph('The command line of margayd(8). Every command has --help.')}`),
    section('COMMANDS', commands.map(commandEntry).join('')),
    section('EXIT STATUS', terms(EXIT_STATUS)),
    section('FILES', terms(FILES)),
    section('SEE ALSO', '.BR margayd (8),\n.BR margay.conf (5)\n'),
  ].join('')
}

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ['0', 'Done.'],
  ['1', 'Failed; the reason is on standard error.'],
  ['2', 'Wrong usage.'],
  ['3', 'Done in part; what failed is on standard error.'],
]

const FILES: readonly (readonly [string, string])[] = [
  ['/etc/margay/config.json', 'The configuration, see margay.conf(5).'],
  ['/run/margay/margay.sock', 'The socket of the daemon.'],
  ['/etc/calico/calicoctl.cfg', 'Where etcd is, when the command is called as calicoctl and there is no other configuration.'],
]

/** Commands that do something, with their whole names. */
function leavesOf(command: Command, parents = ''): readonly { readonly name: string; readonly command: Command }[] {
  return command.commands.flatMap((child) => {
    const name = `${parents}${child.name()}`
    return child.commands.length > 0 ? leavesOf(child, `${name} `) : [{ name, command: child }]
  })
}

function commandEntry({ name, command }: { readonly name: string; readonly command: Command }): string {
  const own = command.options.filter((option) => !isConfiguration(option) && !option.hidden)
  const usage = [...command.registeredArguments.map(showArgument), '[options]'].join(' ')
  const head = `.SS "margay ${escapeText(`${name} ${usage}`)}"\n${paragraph(sentence(command.description()))}`
  const rest = command.options.some(isConfiguration) ? paragraph(`Also takes ${listConfiguration(command)}; see margay.conf(5).`) : ''
  return head + terms(own.map((option) => [option.flags, sentence(describeOption(option))])) + rest + examples(command)
}

function describeOption({ description, argChoices, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : `: ${argChoices.join(', ')}`
  const fallback = defaultValue === undefined ? '' : `; ${String(defaultValue)} unless given`
  return `${description}${choices}${fallback}`
}

function isConfiguration({ long }: Option): boolean {
  return long === '--config' || SETTINGS.some((setting) => setting.flag === long)
}

function listConfiguration(command: Command): string {
  const flags = command.options.filter(isConfiguration).map((option) => option.long ?? '')
  return flags.length > 10 ? '--config and a flag for every key' : flags.join(', ')
}

function showArgument(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${name}>` : `[${name}]`
}

/** What help shows after the options, verbatim; commander hands it only to who listens for it. */
function examples(command: Command): string {
  const parts: string[] = []
  // A Command is an EventEmitter, which its types do not say.
  const emitter: unknown = command
  if (emitter instanceof EventEmitter) emitter.emit('afterHelp', { error: false, command, write: (part: string) => parts.push(part) })
  const text = parts.join('')
  if (text.trim() === '') return ''
  return `.PP\n.nf\n.RS 2\n${text.trim().split('\n').map(escapeLine).join('\n')}\n.RE\n.fi\n`
}

function daemonPage(): string {
  return [
    section('NAME', 'margayd \\- connects this host with the others, and guards it\n'),
    section('SYNOPSIS', '.B margayd\n[\\-\\-config\n.IR file ]\n[\\-\\-cleanup]\n[\\-\\-key value ...]\n'),
    section(
      'DESCRIPTION',
      paragraph('Follows the resources in etcd and keeps links, routes, neighbours and filter rules of this host as they say.') +
        paragraph('Stopping, restarting or upgrading it leaves traffic and protection as they are.'),
    ),
    section(
      'OPTIONS',
      terms([
        ['--config <file>', 'The configuration file.'],
        ['--cleanup', 'Removes all that margay made on this host, and ends.'],
        ['--<key> <value>', 'Any key of margay.conf(5).'],
      ]),
    ),
    section(
      'SIGNALS',
      terms([
        ['SIGHUP', 'Reads the configuration again; a faulty one is refused and the old one stays.'],
        ['SIGTERM', 'Ends; the network stays as it is.'],
      ]),
    ),
    section('SEE ALSO', '.BR margay (1),\n.BR margay.conf (5)\n'),
  ].join('')
}

function configPage(): string {
  const keys = Object.entries(GROUPS).map(([group, about]) => {
    const inside = SETTINGS.filter(({ path }) => path === group || path.startsWith(`${group}.`))
    return `.SS ${group}\n${paragraph(about)}${terms(inside.map(keyEntry))}`
  })
  const order =
    'A value comes from a flag, else from the environment, else from the file, else it is the default. The file is JSON with comments.'
  return [
    section('NAME', 'margay.conf \\- the configuration of margay\n'),
    section('SYNOPSIS', '.I /etc/margay/config.json\n'),
    section('DESCRIPTION', paragraph(order)),
    section('KEYS', keys.join('')),
    section('SEE ALSO', '.BR margay (1),\n.BR margayd (8)\n'),
  ].join('')
}

function keyEntry(setting: Setting): readonly [string, string] {
  const { path, parser, doc, env, flag } = setting
  return [path, `${doc} A ${parser.name}; ${JSON.stringify(shownDefault(setting))} unless given. ${flag}, ${env}.`]
}

function section(title: string, body: string): string {
  return `.SH ${title}\n${body}`
}

function paragraph(text: string): string {
  return `.PP\n${escapeLine(text)}\n`
}

function terms(list: readonly (readonly [string, string])[]): string {
  return list.map(([term, text]) => `.TP\n.B "${escapeText(term)}"\n${escapeLine(text)}\n`).join('')
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

/** Text inside a line or a quoted argument: backslashes, dashes that must be copied as they are, and double quotes. */
function escapeText(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq').replaceAll('…', '...').replaceAll("'", '\\(aq')
}

/** A line of text: a dot or a quote at its beginning would be a request. */
function escapeLine(line: string): string {
  return `${/^[.']/.test(line) ? '\\&' : ''}${escapeText(line)}`
}
