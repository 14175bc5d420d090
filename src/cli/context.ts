import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { MargayError } from '../errors.ts'
import type { Store } from '../store/store.ts'

/** 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 it would cut open connections. */
export type ExitCode = 0 | 1 | 2 | 3 | 4

/** The names under which the command line can be called; as `calicoctl` it takes and says what that does, and ends with 0 or 1. */
export type Program = 'margay' | 'calicoctl'

/** All that a command may touch of the world, so that tests can give it another one. */
export interface Context {
  readonly program: Program
  /** Writes to standard output, as it is. */
  out(text: string): void
  /** Whether what is written to standard output still arrives; a command that never ends by itself ends when not. */
  isRead(): boolean
  /** Writes to standard error, as it is. */
  err(text: string): void
  readonly stdin: () => Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly hostname: string
  /** `SSH_CONNECTION` of this process and of those that started it. */
  readonly sshConnections: () => readonly string[]
  readonly now: () => Date
  readonly openStore: (config: Config) => Promise<Store>
  readonly version: string
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** What a command reports when it ends without an error. */
export interface Outcome {
  code: ExitCode
}

/** What a command's file gives: adds itself to the program. */
export type AddCommand = (parent: Command, context: Context, outcome: Outcome) => void

/** The command line is not what the command takes: exit code 2. */
export class UsageError extends MargayError {
  constructor(message: string) {
    super('usage', message)
  }
}

/** A word that should be a kind is none. */
export class UnknownKindError extends UsageError {
  /** As it was given. */
  readonly word: string
  constructor(word: string, message: string) {
    super(message)
    this.word = word
  }
}

/** Several things were asked for and some failed, each of which was reported: exit code 3. */
export class PartialError extends MargayError {
  constructor(message: string) {
    super('partial', message)
  }
}
