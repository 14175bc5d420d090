import type { Command } from 'commander'
import type { Context } from './context.ts'
import { type GivenResource, readDocuments } from './documents.ts'
import { addKindNamespaceOption, collect } from './options.ts'

/** Options of commands that take documents. */
export interface FileOptions {
  readonly filename?: readonly string[]
  readonly recursive?: true
  readonly skipEmpty?: true
  readonly skipExists?: true
  readonly label?: readonly string[]
  readonly skipNotExists?: true
  readonly dryRun?: true
  readonly confirm?: number
  readonly namespace?: string
}

/** Adds `-f`, `-R`, `--skip-empty` and `-n`. */
export function addFileOptions(command: Command): Command {
  command.option('-f, --filename <path>', 'file, folder, or - for standard input; may be repeated', collect)
  command.option('-R, --recursive', 'also the folders below')
  command.option('--skip-empty', 'pass over files and folders without resources')
  return addKindNamespaceOption(command)
}

/** Reads what `-f` names. */
export function readGiven(command: Command, context: Context): Promise<readonly GivenResource[]> {
  const { filename = [], recursive, skipEmpty, namespace } = command.opts<FileOptions>()
  const options = { namespace, isRecursive: recursive === true, isEmptyFine: skipEmpty === true, verb: command.name() }
  return readDocuments(filename, options, context)
}
