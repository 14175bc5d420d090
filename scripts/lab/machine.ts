import type { ChildProcess } from 'node:child_process'
import { mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Ended, labEnv, MACHINE, type Place, type RunOptions, run, start, stop, tryRun, until } from './command.ts'
import { logTail } from './etcd.ts'
import type { Topology } from './topology.ts'

/**
 * A whole host with an init system of its own: systemd-nspawn boots it from a layer over the lab's Debian 12. Its kernel is this
 * machine's; its network namespace is new with each boot, so that what a host has in its kernel is gone when it went down.
 *
 * ```
 *   h1 .11     h2 .12
 *     │ eth0     │ eth0     (named and configured by systemd-networkd in there)
 *  ┌──┴──────────┴── br0 ── router .254
 * ```
 */
export interface Machine extends Place {
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
  /** Boots it and waits until its init system has started all units and it has its addresses; throws with units that failed. */
  boot(): Promise<void>
  /** Shuts it down in order, as `poweroff` does. */
  powerOff(): Promise<void>
  /** Ends all that runs in there at once. What it has written is there when it boots again. */
  cutPower(): Promise<void>
  /** Runs a program in there to its end and gives its standard output; throws with its words if it fails. */
  run(argv: readonly string[], options?: RunOptions): Promise<string>
  /** Runs a program in there to its end, whatever that is. */
  try(argv: readonly string[], options?: RunOptions): Promise<Ended>
  /** Writes a file in there, also while the machine is down. */
  write(path: string, text: string, mode?: number): void
  /** Where a path in there is on this machine, while it runs. */
  pathOf(path: string): string
  /** A network namespace of `ip netns` in there; programs in it are this machine's. */
  inside(namespace: string): Place
}

/** What a machine is made of. */
export interface MachineSpec {
  readonly topology: Topology
  /** The folder of the Debian 12 that all machines share and none changes. */
  readonly root: string
  /** Folders with what some of them have besides; none changes them either. */
  readonly layers: readonly string[]
  readonly number: number
  /** Whether it has /dev/net/tun; it has unless this says no. */
  readonly hasTun?: boolean
}

/** A host that any program reaches with nothing of this machine's environment. */
const BARE = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LANG=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive']
const BOOT_DEADLINE_MS = 60_000
const CGROUPS = '/sys/fs/cgroup'

/** Lays a machine over the root; it does not run yet. */
export async function layMachine(spec: MachineSpec): Promise<Machine> {
  const name = `h${spec.number}`
  const folder = join(tmpdir(), `${spec.topology.prefix}${name}`)
  const ipv4 = `192.0.2.${10 + spec.number}`
  const ipv6 = `2001:db8:0::${(16 + spec.number).toString(16)}`
  await mountRoot(folder, [...spec.layers, spec.root])
  const write = writerIn(join(folder, 'root'))
  for (const [path, text] of Object.entries(settings(name, ipv4, ipv6))) write(path, text)
  for (const unit of MASKED) await run(MACHINE, ['ln', '-sf', '/dev/null', join(folder, 'root/etc/systemd/system', unit)])
  const running: { nspawn?: ChildProcess; leader: number } = { leader: 0 }
  const machine: Machine = {
    name,
    ipv4,
    ipv6,
    write,
    get enter() {
      return ['nsenter', '-t', String(running.leader), '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w', '--', ...BARE]
    },
    boot: async () => {
      running.nspawn = await startNspawn(spec, name, folder)
      running.leader = await untilInit(running.nspawn, folder)
      await untilStarted(machine)
    },
    powerOff: async () => {
      if (running.nspawn !== undefined) await stop(running.nspawn, 'SIGTERM', BOOT_DEADLINE_MS)
      await removeNetwork(spec.topology, name)
    },
    cutPower: async () => {
      process.kill(running.leader, 'SIGKILL')
      if (running.nspawn !== undefined) await stop(running.nspawn)
      await removeNetwork(spec.topology, name)
    },
    run: (argv, options) => run(machine, argv, options),
    try: (argv, options) => tryRun(machine, argv, options),
    pathOf: (path) => `/proc/${running.leader}/root${path}`,
    inside: (namespace) => ({ enter: ['nsenter', `--net=/proc/${running.leader}/root/run/netns/${namespace}`, '--'] }),
  }
  return machine
}

function writerIn(root: string): Machine['write'] {
  return (path, text, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text, { mode })
  }
}

/** The layer is in memory: it may not lie on a file system that is a layer itself, as /tmp is in a container. */
async function mountRoot(folder: string, lower: readonly string[]): Promise<void> {
  mkdirSync(folder)
  await run(MACHINE, ['mount', '-t', 'tmpfs', '-o', 'size=1G,mode=755', 'tmpfs', folder])
  for (const part of ['upper', 'work', 'root']) mkdirSync(join(folder, part))
  const layers = `lowerdir=${lower.join(':')},upperdir=${folder}/upper,workdir=${folder}/work`
  await run(MACHINE, ['mount', '-t', 'overlay', 'overlay', '-o', layers, join(folder, 'root')])
}

/** Timers that would start work in the middle of a test, and a console that is not there. */
const MASKED = ['console-getty.service', 'apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'e2scrub_all.timer']

function settings(name: string, ipv4: string, ipv6: string): Readonly<Record<string, string>> {
  const addresses = [`Address=${ipv4}/24`, 'Gateway=192.0.2.254', `Address=${ipv6}/64`, 'Gateway=2001:db8:0::fe']
  // Duplicate address detection would take a second or two of each boot.
  const network = ['[Match]', 'Name=eth0', '[Network]', ...addresses, 'IPv6AcceptRA=no', 'IPv6DuplicateAddressDetection=0', '']
  return {
    '/etc/hostname': `${name}\n`,
    '/etc/machine-id': `${name.charCodeAt(1).toString(16).padStart(32, '0')}\n`,
    '/etc/systemd/network/eth0.network': network.join('\n'),
  }
}

/** Boots the machine in a network namespace and in control groups of its own, by which it can be swept away. */
async function startNspawn({ topology, root, number, hasTun }: MachineSpec, name: string, folder: string): Promise<ChildProcess> {
  const namespace = await addNetwork(topology, name, number)
  const full = `${topology.prefix}${name}`
  const options = [
    ...['--directory', join(folder, 'root'), '--boot', '--console=pipe'],
    ...[`--machine=${full}`, `--hostname=${name}`],
    ...[`--network-namespace-path=${namespace}`, '--capability=all', '--system-call-filter=@keyring bpf'],
    ...(hasTun === false ? [] : ['--bind=/dev/net/tun']),
  ]
  const enterGroups = makeCgroups(full).map((path) => `echo $$ > ${path}/cgroup.procs`)
  const log = openSync(join(folder, 'console.log'), 'a')
  // Without it /proc/sys/net could not be written in there.
  const env = labEnv({ SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network' })
  return start(MACHINE, ['sh', '-ec', `${enterGroups.join('; ')}; exec "$@"`, 'sh', ...nspawnOf(root), ...options], {
    stdio: ['ignore', log, log],
    env,
  })
}

/** systemd-nspawn is the root's own, run with the root's libraries: this machine may have none, or another version. */
export function nspawnOf(root: string): readonly string[] {
  const libraries = ['usr/lib/x86_64-linux-gnu/systemd', 'usr/lib/x86_64-linux-gnu'].map((path) => join(root, path)).join(':')
  const program = [join(root, 'lib64/ld-linux-x86-64.so.2'), '--library-path', libraries, join(root, 'usr/bin/systemd-nspawn')]
  return [...program, '--quiet', '--register=no', '--keep-unit']
}

/** A host keeps its MAC address over a reboot: its neighbours know it by that for a while. */
async function addNetwork(topology: Topology, name: string, number: number): Promise<string> {
  const { path, name: namespace } = await topology.addNamespace(name)
  const peer = ['name', 'eth0', 'address', `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`, 'netns', namespace]
  await run(MACHINE, ['ip', '-n', topology.underlay.name, 'link', 'add', `p-${name}`, 'type', 'veth', 'peer', ...peer])
  await run(MACHINE, ['ip', '-n', topology.underlay.name, 'link', 'set', `p-${name}`, 'master', 'br0', 'up'])
  return path
}

async function removeNetwork(topology: Topology, name: string): Promise<void> {
  await run(MACHINE, ['ip', '-n', topology.underlay.name, 'link', 'del', `p-${name}`])
  await run(MACHINE, ['ip', 'netns', 'del', `${topology.prefix}${name}`])
}

/** Makes a control group of this name in each hierarchy: one of all controllers (v2), or one a controller beside it (v1). */
function makeCgroups(name: string): readonly string[] {
  const isHierarchy = (path: string) => readdirSync(path).includes('cgroup.procs')
  const found = isHierarchy(CGROUPS) ? [CGROUPS] : readdirSync(CGROUPS).map((folder) => join(CGROUPS, folder))
  return found.filter(isHierarchy).map((hierarchy) => {
    const group = join(hierarchy, name)
    mkdirSync(group, { recursive: true })
    // A new group of the controller cpuset is empty, and nothing may run in it.
    for (const file of ['cpuset.cpus', 'cpuset.mems'].filter((file) => readdirSync(hierarchy).includes(file))) {
      writeFileSync(join(group, file), readFileSync(join(hierarchy, file)))
    }
    return group
  })
}

/** The first process in there, as this machine counts them: a child of nspawn, after one that only prepares. */
function untilInit(nspawn: ChildProcess, folder: string): Promise<number> {
  return until({ what: 'the init system', deadlineMs: BOOT_DEADLINE_MS, everyMs: 20 }, () => {
    if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended with ${nspawn.exitCode}: ${logTail(join(folder, 'console.log'))}`)
    const children = readFileSync(`/proc/${nspawn.pid}/task/${nspawn.pid}/children`, 'utf8').split(' ').filter(Boolean)
    const init = children.find((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'systemd\n')
    return init === undefined ? undefined : Number(init)
  })
}

async function untilStarted(machine: Machine): Promise<void> {
  const state = await until({ what: `${machine.name} to boot`, deadlineMs: BOOT_DEADLINE_MS, everyMs: 50 }, async () => {
    const { stdout } = await machine.try(['systemctl', 'is-system-running'])
    return /^(running|degraded)$/.test(stdout.trim()) ? stdout.trim() : undefined
  })
  if (state !== 'running') throw new Error(`${machine.name} booted, but: ${await machine.run(['systemctl', '--failed', '--no-legend'])}`)
  await until({ what: `the addresses of ${machine.name}`, deadlineMs: BOOT_DEADLINE_MS, everyMs: 50 }, async () => {
    const text = await machine.run(['ip', '-o', 'address', 'show', 'dev', 'eth0', '-tentative'])
    return ['inet6 fe80:', 'inet6 2001:db8:', 'inet 192.0.2.'].every((part) => text.includes(part)) ? true : undefined
  })
}
