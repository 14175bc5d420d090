import { hostname } from 'node:os'
import { text } from 'node:stream/consumers'
import { programOf } from './calicoctl.ts'
import { runCli } from './program.ts'

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
process.once('SIGTERM', () => interrupted.abort(new Error('terminated')))
// `margay get nodes | head -1` closes our output early: no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const code = await runCli(process.argv.slice(2), {
  // A launcher that is a shell script knows what it was called, and Node does not.
  program: programOf(process.env['MARGAY_CLI_NAME'] ?? process.argv[1]),
  out: (written) => void process.stdout.write(written),
  err: (written) => void process.stderr.write(written),
  stdin: () => text(process.stdin),
  env: process.env,
  hostname: hostname(),
  now: () => new Date(),
  // Imported late: gRPC alone takes longer to load than `margay status` takes to answer.
  openStore: async (config) => (await import('./open-store.ts')).openStore(config),
  version: process.env.MARGAY_VERSION ?? 'unknown',
  signal: interrupted.signal,
})
// A connection that is still being made (to an etcd that is silent) would keep the process for seconds; what was written goes out first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
