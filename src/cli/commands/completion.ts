import { Argument } from 'commander'
import { renderCompletion, SHELLS, type Shell } from '../completion.ts'
import type { AddCommand } from '../context.ts'

const EXAMPLES = `
Examples:
  source <(margay completion bash)
  margay completion bash > /etc/bash_completion.d/margay
  margay completion zsh > "\${fpath[1]}/_margay"`

/** `margay completion bash|zsh`. */
export const addCompletionCommand: AddCommand = (parent, context) => {
  const command = parent.command('completion').description('print the script by which a shell completes commands, flags, kinds and names')
  command
    .addArgument(new Argument('<shell>', 'shell that is to be taught').choices(SHELLS))
    .addHelpText('after', EXAMPLES)
    .action((shell: Shell) => context.out(renderCompletion(shell, parent)))
}
