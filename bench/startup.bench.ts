import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { labEnv, MACHINE, run, start, stop } from '../scripts/lab/command.ts'
import { type Lab, openLab } from '../scripts/lab/lab.ts'
import { openNotifySocket } from '../scripts/lab/notify.ts'
import { readUsage } from '../scripts/lab/probe.ts'
import { say } from '../scripts/lab/screen.ts'
import { NODE_FLAGS } from '../scripts/node-flags.mjs'
import { readBenchArgs, report } from './report.ts'
import { median, ratioOf } from './statistics.ts'

/** One way in which the programs can lie on a disk. */
interface Form {
  readonly name: 'package' | 'modules'
  readonly node: string
  readonly daemon: string
  readonly cli: string
}

/** What one start of each program cost. */
interface Start {
  /** From the start of the daemon's process to READY=1, into a network that stands. */
  readonly readyMs: number
  /** Resident memory a second after that. MB of 10^6 bytes. */
  readonly rssMb: number
  /** `margay version --client`, from its start to its end. */
  readonly cliMs: number
}

const READY_DEADLINE_MS = 60_000
const SETTLED_MS = 1000

/**
 * What bundling brings: the daemon and the command line as the package has them (each one file, with its own Node) against the same
 * source with its dependencies in node_modules. Rounds take turns, and ratios are of the same round.
 */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  const folder = join(tmpdir(), `mgt-${process.pid}-startup`)
  mkdirSync(folder)
  const lab = await openLab({ hosts: [0], etcd: 'plain', mode: 'vxlan' })
  try {
    const forms = [await packageForm(folder), await modulesForm()] as const
    // The first start makes pool, block and device, and brings the files into memory.
    for (const form of forms) await measure(lab, form)
    const starts: Record<Form['name'], Start[]> = { package: [], modules: [] }
    for (let round = 0; round < (options.isQuick ? 5 : 15); round += 1) {
      for (const form of round % 2 === 0 ? forms : [...forms].reverse()) starts[form.name].push(await measure(lab, form))
    }
    return report({ name: 'startup', ...summary(starts), faults: [] }, options)
  } finally {
    await lab.close()
    rmSync(folder, { recursive: true, force: true })
    rmSync(MODULES, { recursive: true, force: true })
  }
}

function summary(starts: Readonly<Record<Form['name'], readonly Start[]>>) {
  const of = (name: Form['name'], key: keyof Start) => starts[name].map((one) => one[key])
  const ratio = (key: keyof Start) => ratioOf(of('package', key), of('modules', key))
  const figures = (name: Form['name']) => ({
    [`${name}_ready_p50_ms`]: median(of(name, 'readyMs')),
    [`${name}_rss_mb`]: median(of(name, 'rssMb')),
    [`${name}_cli_p50_ms`]: median(of(name, 'cliMs')),
  })
  return {
    figures: { ...figures('package'), ...figures('modules') },
    ratios: { ready: ratio('readyMs'), rss: ratio('rssMb'), cli: ratio('cliMs') },
  }
}

/** The package's own files, unpacked. */
async function packageForm(folder: string): Promise<Form> {
  say('building the package')
  await run(MACHINE, [process.execPath, 'scripts/package.mjs', '--fast', '--output', folder], { timeoutMs: 120_000 })
  await run(MACHINE, ['sh', '-c', `dpkg-deb --extract ${folder}/margay_*.deb ${folder}/root`])
  const lib = join(folder, 'root/usr/lib/margay')
  return { name: 'package', node: join(lib, 'node'), daemon: join(lib, 'margayd.js'), cli: join(lib, 'margay.js') }
}

/** Below the repository, where node_modules and the native add-on are found. */
const MODULES = join('.cache', 'startup', String(process.pid))

/** As a checkout with node_modules would run: our own source transpiled, all packages loaded from their folders. */
async function modulesForm(): Promise<Form> {
  await build({
    entryPoints: { margayd: 'src/daemon/main.ts', margay: 'src/cli/main.ts' },
    outdir: MODULES,
    outExtension: { '.js': '.mjs' },
    ...{ bundle: true, packages: 'external', platform: 'node', target: 'node20', format: 'esm' },
    define: { 'process.env.MARGAY_VERSION': '"0.0.0"' },
  })
  const path = (name: string) => join(process.cwd(), MODULES, `${name}.mjs`)
  return { name: 'modules', node: process.execPath, daemon: path('margayd'), cli: path('margay') }
}

async function measure(lab: Lab, { name, node, daemon, cli }: Form): Promise<Start> {
  const { host } = lab.daemon('h1')
  const notify = openNotifySocket(join(host.folder, `notify-${name}`))
  const began = performance.now()
  const child = start(host, [node, ...NODE_FLAGS, daemon], { env: labEnv({ NOTIFY_SOCKET: notify.path }) })
  try {
    const readyMs = (await notify.next('READY=1', AbortSignal.timeout(READY_DEADLINE_MS))) - began
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
    const { rssBytes } = await readUsage(child.pid ?? 0)
    const cliBegan = performance.now()
    await run(host, [node, cli, 'version', '--client'])
    return { readyMs, rssMb: rssBytes / 1e6, cliMs: performance.now() - cliBegan }
  } finally {
    await stop(child)
    notify.close()
  }
}
