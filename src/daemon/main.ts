import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, ConfigError, loadConfig } from '../config.ts'
import { describeError, MargayError } from '../errors.ts'
import { createKernel } from '../kernel/kernel.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { sendDatagram } from '../kernel/notify-socket.ts'
import { claimInstance } from '../kernel/single-instance.ts'
import { createLogger, type Logger } from '../log.ts'
import { embeddedEnvironment, environmentFile } from '../store/embedded.ts'
import { cleanUp } from './cleanup.ts'
import { Daemon } from './daemon.ts'
import { checkEtcdPorts } from './etcd-ports.ts'
import { Notifier } from './notify.ts'
import { probeSystem } from './probe.ts'
import { reload } from './reload.ts'
import { replayFile } from './replay.ts'
import { VERSION } from './version.ts'

const SWITCHES = ['--cleanup', '--write-etcd-env', '--version', '--help']
const HELP = `margayd ${VERSION}: the daemon of margay

margayd [--config FILE] [--KEY VALUE …]   runs until it is stopped; traffic goes on then
margayd --cleanup                         takes everything of margay out of the kernel of this host
margayd --write-etcd-env                  writes the environment of margay-etcd.service; ends with 1 where there is no embedded etcd
margayd --replay FILE                     runs a recording (margay debug record) through the planners; ends with 1 where they disagree
margayd --probe                           tries in an empty network namespace what a host must be able to do (margay node checksystem)
margayd --version, --help

The configuration is /etc/margay/config.json; each key is also a flag and MARGAY_* in the environment: margay config show, man margayd.
Ends with 0 when it was stopped, 1 when it can't go on, 2 when the configuration is wrong.
`

/** One daemon a network namespace: there it owns interfaces, routes and rules. */
const INSTANCE = 'margay/margayd'

async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (argv.includes('--help')) return print(HELP)
  // Needs no configuration: a recording may be of another host.
  if (argv[0] === '--replay') return replayFile(argv[1], print)
  if (argv[0] === '--probe') return probeSystem(print)
  if (argv.includes('--version')) return print(`margayd ${VERSION}\n`)
  const { config, switches } = loadConfig({ argv, env, switches: SWITCHES })
  if (switches.has('--write-etcd-env')) return writeEtcdEnvironment(config)
  if (process.geteuid?.() !== 0)
    throw new MargayError('permission', 'margayd changes interfaces, routes and rules of this host: run it as root')
  const log = createLogger(config.log.level)
  const instance = claimInstance(INSTANCE)
  try {
    if (switches.has('--cleanup')) return await runCleanup(config, log)
    await runDaemon(config, log, argv, env)
    return 0
  } finally {
    instance.release()
  }
}

async function runDaemon(config: Config, log: Logger & { level: string }, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  const notifier = notifierOf(env)
  const read = () => loadConfig({ argv, env, switches: SWITCHES }).config
  const reloadAll = () => void reload({ read, current: () => daemon.config, use: (next) => daemon.use(next), log, notifier })
  const daemon = new Daemon({ config, log, notifier, reload: reloadAll })
  process.on('SIGHUP', () => {
    try {
      reloadAll()
    } catch (error) {
      log.error({ err: error }, 'configuration is wrong, the old one goes on to be used')
    }
  })
  log.info({ node: config.node.name }, `margayd ${VERSION} started`)
  await daemon.run(stop.signal)
}

async function runCleanup(config: Config, log: Logger): Promise<number> {
  const policy = new NftablesTable({ log })
  const kernel = createKernel({ policy })
  const failures = await cleanUp(kernel, policy, config, log, AbortSignal.timeout(60_000))
  kernel.close()
  policy.close()
  for (const failure of failures) process.stderr.write(`margayd: could not remove ${failure}\n`)
  return failures.length === 0 ? 0 : 1
}

/** systemd skips the unit on 1 and calls it failed on 255, which it tries again (systemd.service(5), ExecCondition=). */
async function writeEtcdEnvironment(config: Config): Promise<number> {
  if (!config.etcd.embedded) return 1
  const environment = embeddedEnvironment(config)
  const listens = [environment['ETCD_LISTEN_CLIENT_URLS'], environment['ETCD_LISTEN_PEER_URLS']]
  await checkEtcdPorts(listens.flatMap((urls) => urls?.split(',') ?? []))
  mkdirSync(config.paths.run, { recursive: true, mode: 0o750 })
  writeFileSync(join(config.paths.run, 'etcd.env'), environmentFile(environment), { mode: 0o600 })
  return 0
}

function notifierOf(env: NodeJS.ProcessEnv): Notifier {
  const address = env['NOTIFY_SOCKET']
  if (address === undefined) return new Notifier(undefined, undefined)
  const send = (text: string) => {
    try {
      sendDatagram(address, text)
    } catch {
      // A service manager that does not listen just now must not end the daemon.
    }
  }
  return new Notifier(send, env['WATCHDOG_USEC'])
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

function fail(error: unknown): number {
  const words = describeError(error)
  process.stderr.write(`margayd: ${words}\n`)
  // A wrong configuration is margayd's to report and does not get better by trying again: margay-etcd.service is then only skipped.
  if (process.argv.includes('--write-etcd-env') && error instanceof ConfigError) return 1
  notifierOf(process.env).status(words)
  if (process.argv.includes('--write-etcd-env')) return 255
  return error instanceof ConfigError || (error instanceof Error && error.name === 'ValidationError') ? 2 : 1
}

// Not by itself: what was opened before something failed (netlink, timers) would keep a daemon that does nothing for ever.
process.exit(await main(process.argv.slice(2), process.env).catch(fail))
