import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { makeCertificates } from '../../scripts/lab/certificates.ts'
import { type Place, until } from '../../scripts/lab/command.ts'
import type { ConfigFile } from '../../scripts/lab/daemon.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { bootMachines, type Machines, type MachinesSpec } from '../../scripts/lab/machines.ts'
import { isReachable, startProbe } from '../../scripts/lab/probe.ts'

/** Works with machines, and takes them away however that ends; what their units said last comes with an error. */
export async function withMachines(spec: MachinesSpec, work: (lab: Machines) => Promise<void>): Promise<void> {
  const lab = await bootMachines(spec)
  try {
    await work(lab)
  } catch (error) {
    for (const machine of lab.machines) process.stdout.write(`${await lastWords(machine)}\n`)
    throw error
  } finally {
    await lab.close()
  }
}

async function lastWords(machine: Machine): Promise<string> {
  const units = await machine.try(['systemctl', 'status', '--no-pager', '--lines=0', 'margayd', 'margay-etcd'])
  const journal = await machine.try(['journalctl', '--no-pager', '--quiet', '-o', 'short-monotonic', '-n', '40'])
  return `--- ${machine.name}\n${units.stdout}${journal.stdout}`
}

/** Installs a package file of this machine, as a person would. Gives what apt said. */
export async function install(machine: Machine, file: string): Promise<string> {
  const target = '/root/margay.deb'
  give(machine, file, target)
  return machine.run(['apt-get', 'install', '--yes', '--no-install-recommends', '--allow-downgrades', target], { timeoutMs: 120_000 })
}

/** Gives a machine a copy of a file of this one. */
export function give(machine: Machine, file: string, path: string): void {
  copyFileSync(file, machine.pathOf(path))
}

/** Writes the host's configuration. */
export function configure(machine: Machine, config: ConfigFile): void {
  machine.write('/etc/margay/config.json', `${JSON.stringify(config, undefined, 2)}\n`)
}

/** The first machine has an etcd of its own, which serves the others with certificates; as a person would set it up. */
export async function configureAll(machines: readonly Machine[]): Promise<void> {
  const [first] = machines
  if (first === undefined) throw new Error('there is no machine')
  const folder = mkdtempSync(join(tmpdir(), `mgt-${process.pid}-pki`))
  try {
    const made = await makeCertificates(folder, ['127.0.0.1', first.ipv4, first.ipv6])
    const put = (machine: Machine, name: string, file: string) => machine.write(`/etc/margay/${name}`, readFileSync(file, 'utf8'), 0o600)
    for (const machine of machines) put(machine, 'ca.crt', made.ca)
    put(first, 'server.crt', made.server.cert)
    put(first, 'server.key', made.server.key)
    const server = {
      ...{ embedded: true, embeddedListen: [first.ipv4], embeddedClientCaFile: '/etc/margay/ca.crt' },
      ...{ embeddedCertFile: '/etc/margay/server.crt', embeddedKeyFile: '/etc/margay/server.key' },
    }
    const files = { caFile: '/etc/margay/ca.crt', certFile: '/etc/margay/client.crt', keyFile: '/etc/margay/client.key' }
    for (const machine of machines.slice(1)) {
      put(machine, 'client.crt', made.client.cert)
      put(machine, 'client.key', made.client.key)
      configure(machine, { etcd: { endpoints: [`https://${first.ipv4}:23790`], ...files } })
    }
    configure(first, { etcd: server, pools: { ipv4: { cidr: '10.65.0.0/16' }, ipv6: { cidr: 'fd65::/48' } } })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A workload on a machine: a network namespace of `ip netns` that stands again after a reboot, and its addresses. */
export interface MachineWorkload {
  readonly machine: Machine
  readonly name: string
  readonly ipv4: string
  readonly ipv6: string
}

/** A workload whose network namespace a unit makes at each boot, as a container's manager would. */
export async function addWorkload(machine: Machine, name: string): Promise<MachineWorkload> {
  const unit = [
    '[Service]',
    'Type=oneshot',
    'RemainAfterExit=yes',
    `ExecStart=ip netns add ${name}`,
    '[Install]',
    'WantedBy=multi-user.target',
  ]
  machine.write(`/etc/systemd/system/netns-${name}.service`, `${unit.join('\n')}\n`)
  await machine.run(['systemctl', 'enable', '--quiet', '--now', `netns-${name}.service`])
  await machine.run(['margay', 'workload', 'add', name, '--netns', name])
  const shown = JSON.parse(await machine.run(['margay', 'workload', 'show', name, '-o', 'json'])) as {
    readonly addresses: readonly string[]
  }
  const ipv4 = shown.addresses.find((address) => address.includes('.')) ?? ''
  const ipv6 = shown.addresses.find((address) => address.includes(':')) ?? ''
  return { machine, name, ipv4, ipv6 }
}

/** Where the programs of a workload run. */
export function placeOf({ machine, name }: MachineWorkload): Place {
  return machine.inside(name)
}

/** Waits until two workloads reach each other over both families. */
export async function untilTalking(a: MachineWorkload, b: MachineWorkload, deadlineMs = 20_000): Promise<void> {
  for (const [from, to] of [
    [a, b.ipv4],
    [b, a.ipv4],
    [a, b.ipv6],
  ] as const) {
    const what = `${from.name} on ${from.machine.name} to reach ${to}`
    await until({ what, deadlineMs }, async () => ((await isReachable(placeOf(from), to)) ? true : undefined))
  }
}

/** Echo requests in both families and both ways, one each millisecond, while something is done: none is lost. */
export async function unnoticed(
  what: string,
  [w1, w2]: readonly [MachineWorkload, MachineWorkload],
  action: () => Promise<unknown>,
): Promise<void> {
  const probes = [startProbe(placeOf(w1), { to: w2.ipv4 }), startProbe(placeOf(w2), { to: w1.ipv6, intervalS: 0.01 })]
  await Promise.all(probes.map(({ running }) => running))
  const started = performance.now()
  await action().finally(() => {
    for (const probe of probes) probe.stop()
  })
  const results = await Promise.all(probes.map(({ ended }) => ended))
  const spoken = results.map(({ lost, sent }) => `${lost} of ${sent}`).join(' and ')
  process.stdout.write(`${what}: ${spoken} probes lost in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  assert.equal(
    results.map(({ lost }) => lost),
    [0, 0],
    what,
  )
}

/**
 * Which ports of a machine another finds open, in both families: nobody listens on them, so that the kernel refuses a connection at once
 * where a packet is let through.
 */
export async function portsSeen(from: Machine, to: Machine, ports: readonly number[]): Promise<Readonly<Record<number, string>>> {
  const look = async (port: number) => {
    const answers = [to.ipv4, to.ipv6].map(async (address) => {
      const { code, stderr } = await from.try(['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${port}`])
      return code === 0 || stderr.includes('Connection refused') ? 'open' : code === 124 ? 'closed' : `${code} ${stderr}`
    })
    return [port, [...new Set(await Promise.all(answers))].join(' and ')] as const
  }
  return Object.fromEntries(await Promise.all(ports.map(look)))
}

/** Properties of a unit, by name. */
export async function unitOf<Name extends string>(machine: Machine, unit: string, names: readonly Name[]): Promise<Record<Name, string>> {
  const text = await machine.run(['systemctl', 'show', unit, '--property', names.join(',')])
  const lines = text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const)
  return Object.fromEntries(lines.filter(([name]) => name !== '')) as Record<Name, string>
}

/** Waits until a unit is in this state (`active`, `failed`, …). */
export async function untilUnit(machine: Machine, unit: string, state: string, deadlineMs = 20_000): Promise<void> {
  await until({ what: `${unit} on ${machine.name} to be ${state}`, deadlineMs, everyMs: 50 }, async () =>
    (await unitOf(machine, unit, ['ActiveState'])).ActiveState === state ? true : undefined,
  )
}
