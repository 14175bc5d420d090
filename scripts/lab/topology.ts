import { type ChildProcess, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sweepPrefix } from '../sweep.mjs'
import { MACHINE, type Place, run, start, stop } from './command.ts'

/**
 * The lab's network. Each host is a network namespace with mounts of its own; `ul` is the wire, `rt` the router.
 *
 * ```
 *    h1 .11     h2 .12                    h3 .13
 *      │ eth0     │ eth0                    │ eth0
 *  ┌───┴──────────┴── br0 ──┐           ┌───┴── br1 ──┐   (both in ul)
 *  │ 192.0.2.0/24           │  ┌─ rt ─┐ │ 198.51.100.0/24
 *  │ 2001:db8:0::/64        └──┤ .254 ├─┘ 2001:db8:1::/64
 * ```
 */
export interface TopologySpec {
  /** The subnet, 0 or 1, of each host: `[0, 0, 1]` is three hosts of which the last is behind the router. */
  readonly hosts: readonly (0 | 1)[]
  /** Of every uplink; 1500 unless given. */
  readonly mtuBytes?: number
}

/** A namespace of the lab. */
export interface Namespace extends Place {
  /** As `ip netns` shows it. */
  readonly name: string
  readonly path: string
}

/** A host of the lab. Programs in it see mounts and a host name of its own: /etc/margay, /run/margay, /var/lib/margay. */
export interface LabHost extends Namespace {
  readonly host: string
  readonly subnet: 0 | 1
  readonly ipv4: string
  readonly ipv6: string
  /** On the machine: its `etc`, `run` and `lib` are the host's three folders; logs are here too. */
  readonly folder: string
}

/** A network without anything on it yet. */
export interface Topology {
  /** Begins the name of everything that belongs to this lab, so that it can be found when its maker is gone. */
  readonly prefix: string
  readonly hosts: readonly LabHost[]
  readonly underlay: Namespace
  readonly router: Namespace
  /** The bridges in `underlay`, one a subnet. */
  readonly bridges: readonly string[]
  /** Adds a namespace for a workload; it is empty but for `lo`. */
  addNamespace(name: string): Promise<Namespace>
  /** Takes everything away again: namespaces, what runs in them, and folders. */
  close(): Promise<void>
}

const SUBNETS = [
  { bridge: 'br0', ipv4: '192.0.2.', ipv6: '2001:db8:0::' },
  { bridge: 'br1', ipv4: '198.51.100.', ipv6: '2001:db8:1::' },
] as const

const opened = { count: 0 }

/** Builds the network of a lab; takes about 0.3 s for three hosts. */
export async function buildTopology(spec: TopologySpec): Promise<Topology> {
  if (opened.count === 0) sweepAtExit()
  opened.count += 1
  const prefix = `mgt-${process.pid}-${opened.count}-`
  const holders: ChildProcess[] = []
  try {
    const underlay = await addUnderlay(prefix, 'ul')
    const router = await addUnderlay(prefix, 'rt')
    const bridges = SUBNETS.slice(0, spec.hosts.includes(1) ? 2 : 1)
    await buildWire(underlay, router, bridges, spec.mtuBytes ?? 1500)
    const hosts: LabHost[] = []
    for (const [index, subnet] of spec.hosts.entries()) {
      hosts.push(await buildHost({ prefix, underlay, holders, number: index + 1, subnet, mtuBytes: spec.mtuBytes ?? 1500 }))
    }
    return {
      prefix,
      hosts,
      underlay,
      router,
      bridges: bridges.map(({ bridge }) => bridge),
      addNamespace: (name) => addNamespace(prefix, name),
      close: () => closeTopology(prefix, holders),
    }
  } catch (error) {
    await closeTopology(prefix, holders)
    throw error
  }
}

/** Sets kernel parameters of a network namespace, `net.ipv4.ip_forward=1`. */
export async function setSysctls(place: Place, settings: readonly string[]): Promise<void> {
  await run(place, ['sysctl', '-qw', ...settings])
}

async function closeTopology(prefix: string, holders: readonly ChildProcess[]): Promise<void> {
  await sweepPrefix(prefix)
  await Promise.all(holders.map((holder) => stop(holder, 'SIGKILL')))
}

async function addNamespace(prefix: string, short: string): Promise<Namespace> {
  const name = `${prefix}${short}`
  await run(MACHINE, ['ip', 'netns', 'add', name])
  await run(MACHINE, ['ip', '-n', name, 'link', 'set', 'lo', 'up'])
  const path = `/run/netns/${name}`
  return { name, path, enter: ['nsenter', `--net=${path}`, '--'] }
}

/** A namespace of the underlay. Addresses are usable at once: duplicate address detection would take a second. */
async function addUnderlay(prefix: string, short: string): Promise<Namespace> {
  const namespace = await addNamespace(prefix, short)
  await setSysctls(namespace, ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'])
  return namespace
}

async function batch(namespace: Namespace, lines: readonly string[]): Promise<void> {
  await run(MACHINE, ['ip', '-n', namespace.name, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function buildWire(
  underlay: Namespace,
  router: Namespace,
  subnets: typeof SUBNETS | readonly (typeof SUBNETS)[number][],
  mtu: number,
) {
  await setSysctls(router, ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'])
  await batch(
    underlay,
    subnets.flatMap(({ bridge }, index) => [
      `link add ${bridge} mtu ${mtu} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
      `link set ${bridge} up addrgenmode none`,
      `link add p-rt${index} mtu ${mtu} type veth peer name eth${index} mtu ${mtu} netns ${router.name}`,
      `link set p-rt${index} master ${bridge} up`,
    ]),
  )
  await batch(
    router,
    subnets.flatMap(({ ipv4, ipv6 }, index) => [
      `addr add ${ipv4}254/24 dev eth${index}`,
      `addr add ${ipv6}fe/64 dev eth${index} nodad`,
      `link set eth${index} up`,
    ]),
  )
  // The kernel may show a bridge's packets to the packet filter; the wire must not look at what it carries.
  await run(underlay, ['sh', '-c', 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do if [ -e "$f" ]; then echo 0 > "$f"; fi; done'])
}

interface HostPlan {
  readonly prefix: string
  readonly underlay: Namespace
  readonly holders: ChildProcess[]
  readonly number: number
  readonly subnet: 0 | 1
  readonly mtuBytes: number
}

async function buildHost(plan: HostPlan): Promise<LabHost> {
  const host = `h${plan.number}`
  const subnet = SUBNETS[plan.subnet]
  const namespace = await addUnderlay(plan.prefix, host)
  const [ipv4, ipv6] = [`${subnet.ipv4}${10 + plan.number}`, `${subnet.ipv6}${(16 + plan.number).toString(16)}`]
  await batch(plan.underlay, [
    `link add p-${host} mtu ${plan.mtuBytes} type veth peer name eth0 mtu ${plan.mtuBytes} netns ${namespace.name}`,
    `link set p-${host} master ${subnet.bridge} up`,
  ])
  await batch(namespace, [
    `addr add ${ipv4}/24 dev eth0`,
    `addr add ${ipv6}/64 dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${subnet.ipv4}254`,
    `route add default via ${subnet.ipv6}fe`,
  ])
  const folder = join(tmpdir(), `${plan.prefix}${host}`)
  const holder = await holdMounts(namespace, folder, host)
  plan.holders.push(holder.child)
  const enter = ['nsenter', '-t', String(holder.pid), '-m', '-u', '-n', '-r', '--']
  return { ...namespace, enter, host, subnet: plan.subnet, ipv4, ipv6, folder }
}

/**
 * Starts the process that keeps a host's mounts. Its mounts are slaves of the machine's: a network namespace that is made
 * later is seen in the host too, and what the host mounts is not seen outside.
 */
async function holdMounts(namespace: Namespace, folder: string, host: string): Promise<{ child: ChildProcess; pid: number }> {
  const places = { etc: '/etc/margay', run: '/run/margay', lib: '/var/lib/margay' }
  for (const [name, target] of Object.entries(places)) {
    mkdirSync(join(folder, name), { recursive: true })
    mkdirSync(target, { recursive: true })
  }
  const binds = Object.entries(places).map(([name, target]) => `mount --bind ${folder}/${name} ${target}`)
  const script = ['set -e', ...binds, 'mount -t sysfs sysfs /sys', `hostname ${host}`, 'echo ready', 'exec sleep infinity'].join('; ')
  const child = start(namespace, ['unshare', '-m', '-u', '--propagation', 'slave', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  await new Promise<void>((resolve, reject) => {
    let words = ''
    child.stdout?.once('data', () => resolve())
    child.stderr?.on('data', (chunk) => {
      words += chunk
    })
    child.once('exit', () => reject(new Error(`the mounts of ${host} could not be made: ${words.trim()}`)))
  })
  child.unref()
  return { child, pid: child.pid ?? 0 }
}

/** Takes all labs of this process away also when it ends by an error that nobody caught; what `kill -9` leaves, the next run sweeps. */
function sweepAtExit(): void {
  const own = `mgt-${process.pid}-`
  process.once('exit', () => {
    if (!readdirSync('/run/netns').some((name) => name.startsWith(own))) return
    const program = 'import(process.argv[1]).then((sweep) => sweep.sweepPrefix(process.argv[2]))'
    spawnSync(process.execPath, ['-e', program, join(process.cwd(), 'scripts/sweep.mjs'), own])
  })
}
