import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { sweepPrefix } from '../sweep.mjs'
import { MACHINE, run, tryRun } from './command.ts'
import { layMachine, type Machine, type MachineSpec, nspawnOf } from './machine.ts'
import { buildTopology, type Topology } from './topology.ts'

/** Machines on one wire: see `Machine`. */
export interface Machines {
  readonly topology: Topology
  readonly machines: readonly Machine[]
  /** The machine `h1`, `h2`, … */
  machine(name: string): Machine
  close(): Promise<void>
}

/** What to boot. */
export interface MachinesSpec {
  readonly count: number
  /** Whether they have /dev/net/tun; they have unless this says no. */
  readonly hasTun?: boolean
  /** Debian's packages that are installed in them, beside those of every machine; their services are not enabled. */
  readonly packages?: readonly string[]
}

/** Boots machines, all at once; takes 2 to 4 s when the lab's Debian is there, and up to 90 s more when it must be made. */
export async function bootMachines({ count, packages = [], ...options }: MachinesSpec): Promise<Machines> {
  const { root, layers } = await debianRoot(packages)
  const topology = await buildTopology({ hosts: [] })
  try {
    const numbers = Array.from({ length: count }, (_, index) => index + 1)
    const machines = await Promise.all(numbers.map((number) => layMachine({ topology, root, layers, number, ...options })))
    await Promise.all(machines.map((machine) => machine.boot()))
    const machine = (name: string) => {
      const found = machines.find((one) => one.name === name)
      if (found === undefined) throw new Error(`no machine ${name} in this lab`)
      return found
    }
    return { topology, machines, machine, close: () => topology.close() }
  } catch (error) {
    await topology.close()
    throw error
  }
}

/** Why no machines can be booted here, undefined where they can. Makes the lab's Debian where it is not there. */
export async function whyNoMachines(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `the machines are of amd64, this is ${process.arch}`
  return whyNoCgroups() ?? (await whyNoRoot()) ?? (await whyNoNspawn())
}

/** The folder of the Debian 12 that all machines share, and a layer over it where packages are asked for. */
async function debianRoot(packages: readonly string[] = []): Promise<Pick<MachineSpec, 'root' | 'layers'>> {
  const printed = await run(MACHINE, [process.execPath, 'scripts/debian-root.mjs', ...packages], { timeoutMs: 600_000 })
  const [root = '', ...layers] = printed.trim().split('\n')
  return { root, layers }
}

/** systemd in there makes groups for its units. */
function whyNoCgroups(): string | undefined {
  const hierarchy = ['/sys/fs/cgroup', '/sys/fs/cgroup/systemd'].find((path) => existsSync(join(path, 'cgroup.procs')))
  if (hierarchy === undefined) return 'no control groups are mounted at /sys/fs/cgroup'
  const probe = join(hierarchy, `mgt-${process.pid}-probe`)
  try {
    mkdirSync(probe)
    rmdirSync(probe)
    return undefined
  } catch (error) {
    return `control groups can't be made: ${error instanceof Error ? error.message : error}`
  }
}

/** Only that nobody answers is a reason: everything else that hinders making it is a fault. */
async function whyNoRoot(): Promise<string | undefined> {
  try {
    await debianRoot()
    return undefined
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    if (!/Failed getting release file|Could not resolve|Temporary failure/.test(words)) throw error
    return `Debian's mirror can't be reached, and the root of the machines was not made before: ${words.trim().split('\n').at(-1)}`
  }
}

/** Runs one program in a machine's namespaces and layers. */
async function whyNoNspawn(): Promise<string | undefined> {
  const { root } = await debianRoot()
  const name = `mgt-${process.pid}-probe`
  const options = ['--directory', root, `--machine=${name}`, '--volatile=overlay', '--as-pid2', '--console=pipe']
  const { code, stderr } = await tryRun(MACHINE, [...nspawnOf(root), ...options, '/bin/true'])
  await sweepPrefix(name)
  return code === 0 ? undefined : `systemd-nspawn can't run here: ${stderr.trim().split('\n').at(-1)}`
}
