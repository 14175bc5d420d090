import { hostname } from 'node:os'
import { programOf } from './calicoctl.ts'
import { readStream } from './input.ts'
import { runCli } from './program.ts'
import { readSshConnections } from './ssh-connections.ts'
import { createStandardOutput } from './standard-output.ts'

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
process.once('SIGTERM', () => interrupted.abort(new Error('terminated')))
const output = createStandardOutput(process.stdout)
const errors = createStandardOutput(process.stderr)
// A launcher that is a shell script knows what it was called, and Node does not.
const program = programOf(process.env['MARGAY_CLI_NAME'] ?? process.argv[1])

const code = await runCli(process.argv.slice(2), {
  program,
  out: output.write,
  isRead: () => output.failure() === undefined,
  err: errors.write,
  stdin: () => readStream(process.stdin, 'standard input', interrupted.signal),
  env: process.env,
  hostname: hostname(),
  sshConnections: () => readSshConnections(process.env),
  now: () => new Date(),
  // Imported late: gRPC alone takes longer to load than `margay status` takes to answer.
  openStore: async (config) => (await import('./open-store.ts')).openStore(config),
  version: process.env.MARGAY_VERSION ?? 'unknown',
  signal: interrupted.signal,
})
await output.flush()
const lost = output.failure()
// `margay get nodes | head -1` closes our output early: no fault of ours.
const isLost = lost !== undefined && lost.code !== 'EPIPE'
if (isLost) errors.write(`${program}: the output is not complete, standard output takes no more: ${lost.message}\n`)
await errors.flush()
// A connection that is still being made (to an etcd that is silent) would keep the process for seconds.
process.exit(isLost && code === 0 ? 1 : code)
