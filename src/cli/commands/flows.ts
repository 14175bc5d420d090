import type { Command } from 'commander'
import type { FlowLine } from '../../model/own/flows.ts'
import { apiFor } from '../api.ts'
import type { AddCommand, Context } from '../context.ts'
import { type FlowFilter, isWanted, showFlow } from '../flow-lines.ts'
import { addApiOptions, addOutputOption } from '../options.ts'

const EXAMPLES = `
Examples:
  margay flows --dropped
  margay flows --follow --dropped --endpoint web
  margay flows --follow --policy shop/only-web -o json | jq .source

Packets of new connections on this host that were denied, that a rule with the action Log matched, or that a policy with the annotation
margay.io/log: "true" allowed, and open connections that a change of policy ended. Each rule tells of up to 10 denied packets a second, the rest is counted: "margay policy stats".`

/** `margay flows`. */
export const addFlowsCommand: AddCommand = (parent, context) => {
  const flows = parent.command('flows').description('show what rules denied, logged and allowed, and what was ended, on this host')
  addOutputOption(addApiOptions(flows), ['text', 'json'])
    .option('-f, --follow', 'go on with each new event; without it the latest 2,000 are shown')
    .option('--dropped', 'only what was denied, and connections that were ended')
    .option('--policy <name>', 'only what this policy or profile decided: NAME or NAMESPACE/NAME')
    .option('--endpoint <name>', 'only of this workload (NAME or NAMESPACE/NAME) or host endpoint')
    .addHelpText('after', EXAMPLES)
    .action(() => show(flows, context))
}

async function show(command: Command, context: Context): Promise<void> {
  const { follow, output, ...filter } = command.opts<FlowFilter & { readonly follow?: boolean; readonly output: string }>()
  // While nothing happens nothing comes.
  const parts = await apiFor(command, context).stream({ path: `/v1/flows?follow=${follow === true}`, ...(follow ? { timeoutMs: 0 } : {}) })
  for await (const text of linesOf(parts)) {
    const line = JSON.parse(text) as FlowLine
    if (isWanted(line, filter)) context.out(output === 'json' ? `${text}\n` : `${showFlow(line)}\n`)
  }
}

async function* linesOf(parts: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of parts) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}
