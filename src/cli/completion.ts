import type { Command, Option } from 'commander'
import { KINDS, RESOURCE_KINDS } from '../model/kinds.ts'
import { PROTOCOL_NUMBERS } from '../net/port.ts'

/** A shell for which completions can be made. */
export const SHELLS = ['bash', 'zsh'] as const
export type Shell = (typeof SHELLS)[number]

/** What can follow one command. */
interface Node {
  /** `ipam show`; empty for the program itself. */
  readonly path: string
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly Option[]
  /** Whether its first argument is a kind. */
  readonly takesKind: boolean
  /** Whether its first two arguments are ends of a connection, and the third a protocol. */
  readonly takesEnds: boolean
}

/** The script that makes a shell complete this program's commands, flags, their values, kinds and names of resources. */
export function renderCompletion(shell: Shell, program: Command): string {
  const nodes = walk(program, '')
  const script = shell === 'bash' ? renderBash : renderZsh
  return script(program.name(), nodes)
}

function walk(command: Command, path: string): readonly Node[] {
  const commands = command.commands.map((child) => ({ name: child.name(), about: child.description() }))
  const options = command.options.filter((option) => !option.hidden)
  const takesKind = command.registeredArguments[0]?.name() === 'kind'
  const takesEnds = command.registeredArguments[1]?.name() === 'destination'
  const below = command.commands.flatMap((child) => walk(child, path === '' ? child.name() : `${path} ${child.name()}`))
  return [{ path, commands, options, takesKind, takesEnds }, ...below]
}

/** Plurals, as they stand in docs and manifests; the short names need no completion. */
const KIND_WORDS = [...RESOURCE_KINDS.map((kind) => KINDS[kind].plural), 'namespaces'].sort()

/** Hosts, host endpoints and workloads, as `explain` takes them, by the program that is completed. */
function askEnds(name: string): string {
  const workloads = `timeout 2 ${name} get workloadendpoints -A -o custom-columns=NAMESPACE,WORKLOAD`
  return `timeout 2 ${name} get nodes,hostendpoints -o name 2>/dev/null; ${workloads} 2>/dev/null | sed -nE '1!s:^([^ ]+) +([^ ]+).*:\\1/\\2:p'`
}

const PROTOCOL_WORDS = Object.keys(PROTOCOL_NUMBERS).map((word) => word.toLowerCase())

function routesOf(nodes: readonly Node[], key: 'takesKind' | 'takesEnds'): readonly string[] {
  return nodes.filter((node) => node[key]).map(({ path }) => quote(path))
}

function renderBash(name: string, nodes: readonly Node[]): string {
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => quote(path))
  const id = `_${name}`
  return `# bash completion for ${name}: source <(${name} completion bash)
${id}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} route= args=0 kind= i word
  # Bash takes "=" for a word of its own.
  if [[ $cur == '=' ]]; then cur=; elif [[ $prev == '=' ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$word" in
      ${valued(nodes)})
        [[ \${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
        ((i++))
        continue
        ;;
      -* | '=') continue ;;
    esac
    case "\${route:+$route }$word" in
      ${paths.join(' | ')}) route="\${route:+$route }$word" ;;
      *) ((args++ == 0)) && kind=$word ;;
    esac
  done
  local commands= flags=
  case "$route" in
${nodes.map(bashCase).join('\n')}
  esac
  case "$route:$prev" in
${nodes.flatMap((node) => node.options.filter(takesValue).map((option) => bashValue(node, option))).join('\n')}
  esac
${bashWords(name, nodes)}}
complete -F ${id} ${name}
`
}

/** All flags after which the next word is their value. */
function valued(nodes: readonly Node[]): string {
  const options = nodes.flatMap((node) => node.options.filter(({ required }) => required))
  return [...new Set(options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined)))].map(quote).join(' | ')
}

/** What is offered for a word that is no value of a flag. */
function bashWords(name: string, nodes: readonly Node[]): string {
  return `  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
  elif [[ -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
  else
    case "$route" in
      ${routesOf(nodes, 'takesKind').join(' | ')})
        if [[ -z $kind ]]; then
          mapfile -t COMPREPLY < <(compgen -W ${quote(KIND_WORDS.join(' '))} -- "$cur")
        else
          mapfile -t COMPREPLY < <(compgen -W "$(timeout 2 ${name} get "$kind" -o name 2>/dev/null | sed 's:.*/::')" -- "$cur")
        fi
        ;;
${bashEnds(name, nodes)}      *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
  fi
`
}

/** No case where no command takes ends: it would be a fault of syntax. */
function bashEnds(name: string, nodes: readonly Node[]): string {
  const routes = routesOf(nodes, 'takesEnds')
  if (routes.length === 0) return ''
  return `      ${routes.join(' | ')})
        if ((args < 2)); then
          mapfile -t COMPREPLY < <(compgen -W "$(${askEnds(name)})" -- "$cur")
        elif ((args == 2)); then
          mapfile -t COMPREPLY < <(compgen -W ${quote(PROTOCOL_WORDS.join(' '))} -- "$cur")
        fi
        ;;
`
}

function bashCase({ path, commands, options }: Node): string {
  const flags = options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined)).join(' ')
  return `    ${quote(path)}) commands=${quote(commands.map(({ name }) => name).join(' '))} flags=${quote(flags)} ;;`
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional
}

/** A value of a flag: one of its choices, else a file's name. */
function bashValue({ path }: Node, option: Option): string {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined).map((flag) => quote(`${path}:${flag}`))
  const words = option.argChoices === undefined ? '-f' : `-W ${quote(option.argChoices.join(' '))}`
  return `    ${flags.join(' | ')}) mapfile -t COMPREPLY < <(compgen ${words} -- "$cur"); return ;;`
}

function renderZsh(name: string, nodes: readonly Node[]): string {
  const paths = nodes.filter(({ path }) => path !== '').map(({ path }) => quote(path))
  const id = `_${name}`
  return `#compdef ${name}
# zsh completion for ${name}: ${name} completion zsh > "\${fpath[1]}/${id}"
${id}() {
  local route= kind= word
  local -i args=0 i
  local -a commands flags
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    case "$word" in
      ${valued(nodes)}) ((i++)); continue ;;
      -*) continue ;;
    esac
    case "\${route:+$route }$word" in
      ${paths.join(' | ')}) route="\${route:+$route }$word" ;;
      *) ((args++ == 0)) && kind=$word ;;
    esac
  done
  case "$route" in
${nodes.map(zshCase).join('\n')}
  esac
  case "$route:$words[CURRENT-1]" in
${nodes.flatMap((node) => node.options.filter(takesValue).map((option) => zshValue(node, option))).join('\n')}
  esac
${zshWords(name, nodes)}}
# Loaded by its name on first use, this file is the function's body; sourced, it only defines it.
if [[ $funcstack[1] == ${id} ]]; then ${id} "$@"; else compdef ${id} ${name}; fi
`
}

function zshWords(name: string, nodes: readonly Node[]): string {
  return `  if [[ $PREFIX == -* ]]; then
    _describe -o flag flags
  elif ((\${#commands})); then
    _describe command commands
  else
    case "$route" in
      ${routesOf(nodes, 'takesKind').join(' | ')})
        if [[ -z $kind ]]; then
          compadd -- ${KIND_WORDS.join(' ')}
        else
          compadd -- \${(f)"$(timeout 2 ${name} get "$kind" -o name 2>/dev/null | sed 's:.*/::')"}
        fi
        ;;
${zshEnds(name, nodes)}      *) _files ;;
    esac
  fi
`
}

function zshEnds(name: string, nodes: readonly Node[]): string {
  const routes = routesOf(nodes, 'takesEnds')
  if (routes.length === 0) return ''
  return `      ${routes.join(' | ')})
        if ((args < 2)); then
          compadd -- \${(f)"$(${askEnds(name)})"}
        elif ((args == 2)); then
          compadd -- ${PROTOCOL_WORDS.join(' ')}
        fi
        ;;
`
}

function zshCase({ path, commands, options }: Node): string {
  const describe = (word: string, about: string) => quote(`${word.replaceAll(':', '\\:')}:${about}`)
  const flags = options.flatMap(({ short, long, description }) =>
    [short, long].filter((flag) => flag !== undefined).map((flag) => describe(flag, description)),
  )
  return `    ${quote(path)})
      commands=(${commands.map(({ name, about }) => describe(name, about)).join(' ')})
      flags=(${flags.join(' ')}) ;;`
}

function zshValue({ path }: Node, option: Option): string {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined).map((flag) => quote(`${path}:${flag}`))
  const act = option.argChoices === undefined ? '_files' : `compadd -- ${option.argChoices.map(quote).join(' ')}`
  return `    ${flags.join(' | ')}) ${act}; return ;;`
}

/** As one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
