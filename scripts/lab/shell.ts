import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MACHINE, start } from './command.ts'
import { builtProgram } from './daemon.ts'
import { type Lab, startLab } from './lab.ts'
import { LAB_MODES } from './mode.ts'
import { bold, say, usage, usageError } from './screen.ts'
import type { LabWorkload } from './workload.ts'

/** Opens a lab with a workload on each host and a shell in front of it; the lab goes when the shell ends. */
export async function main(args: readonly string[]): Promise<number> {
  const { hosts, mode } = readArgs(args)
  const lab = await startLab({ hosts, etcd: 'embedded', mode })
  try {
    const workloads: LabWorkload[] = []
    for (const { host } of lab.daemons) workloads.push(await lab.addWorkload(host.host, host.host.replace('h', 'w')))
    const path = join(lab.folder, 'bashrc')
    writeFileSync(path, shellCommands(lab, workloads))
    describe(lab, workloads)
    const shell = start(MACHINE, ['bash', '--rcfile', path, ...(process.stdin.isTTY ? ['-i'] : [])], {
      stdio: 'inherit',
      env: { ...process.env, BASH_ENV: path, HISTFILE: '' },
    })
    return await new Promise((resolve) => shell.once('exit', (code) => resolve(code ?? 1)))
  } finally {
    await lab.close()
  }
}

function readArgs(args: readonly string[]): { hosts: (0 | 1)[]; mode: string } {
  const options = { hosts: { type: 'string' }, subnets: { type: 'string' }, mode: { type: 'string' } } as const
  const { values } = usage(() => parseArgs({ args: [...args], options }))
  const { hosts = '3', subnets = '2', mode = 'vxlan-cross-subnet' } = values
  const number = /^\d+$/.test(hosts) ? Number(hosts) : 0
  if (number < 1 || number > 100) throw usageError(`--hosts ${JSON.stringify(hosts)}: it is a number from 1 to 100`)
  if (subnets !== '1' && subnets !== '2') throw usageError(`--subnets ${JSON.stringify(subnets)}: it is 1 or 2`)
  if (!LAB_MODES.includes(mode)) throw usageError(`--mode ${JSON.stringify(mode)}: it is one of ${LAB_MODES.join(', ')}`)
  const first = subnets === '1' ? number : Math.ceil(number / 2)
  return { hosts: Array.from({ length: number }, (_, index) => (index < first ? 0 : 1)), mode }
}

/** One command for each host and workload: alone it is a shell there, with words it runs them there. */
function shellCommands(lab: Lab, workloads: readonly LabWorkload[]): string {
  // nsenter leads to the root folder: files are named from where the shell is.
  const margay = `${process.execPath} ${builtProgram('margay.js')}`
  const place = (name: string, enter: readonly string[]) =>
    `${name}() { if [ $# -eq 0 ]; then ${enter.join(' ')} bash; else ${enter.join(' ')} "$@"; fi; }`
  const lines = [
    'if [ -n "$PS1" ]; then PS1="lab # "; fi',
    'export PATH="$PATH:/usr/sbin:/sbin"',
    ...lab.daemons.map(({ host }) => place(host.host, host.enter)),
    ...lab.daemons.map(({ host }) => `margay${host.host.slice(1)}() { ${host.enter.join(' ')} env -C "$PWD" ${margay} "$@"; }`),
    ...workloads.map(({ name, namespace }) => place(name, namespace.enter)),
    place('router', lab.topology.router.enter),
    place('wire', lab.topology.underlay.enter),
  ]
  return `${lines.join('\n')}\n`
}

function describe(lab: Lab, workloads: readonly LabWorkload[]): void {
  say(bold('the lab is open; it goes when you leave this shell'))
  for (const { host, logPath } of lab.daemons) {
    const own = workloads.filter(({ daemon }) => daemon.host === host).map(({ name, addresses }) => `${name} ${addresses.join(' ')}`)
    say(`  ${host.host}  ${host.ipv4}  ${host.ipv6}  log ${logPath}  ${own.join(', ')}`)
  }
  say('h1, w1, router, wire: a shell there, or `h1 ip route`; margay1 status: the command line on h1')
}
