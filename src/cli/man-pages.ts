import { MargayError } from '../errors.ts'
import { type ManPage, renderManPages } from './man.ts'
import { createProgram } from './program.ts'

/** The manual of this version; no command is run for it. */
export function makeManPages(version: string): readonly ManPage[] {
  const refuse = () => {
    throw new MargayError('usage', 'the manual runs no command')
  }
  const context = {
    program: 'margay' as const,
    ...{ out: refuse, err: refuse, isRead: refuse, stdin: refuse, now: refuse, openStore: refuse },
    ...{ env: {}, sshConnections: () => [], hostname: 'localhost', version, signal: new AbortController().signal },
  }
  return renderManPages(createProgram(context, { code: 0 }), version)
}
