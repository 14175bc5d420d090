// at most 300 s
import type { ChildProcess } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { start, stop, until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { configureAll, install, portsSeen, unitOf, withMachines } from '../support/installed.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-policy')
const { testOnMachines, packages } = await onMachines(test)

/** All of it with a real sshd and real sessions of SSH, and a daemon that is confined as the package says. */
testOnMachines(
  'policies, pre-flight, trials, flows and counters work as the service runs, over a boot and an upgrade, and a purge leaves nothing',
  async () => {
    await withMachines({ count: 2, packages: ['openssh-client', 'openssh-server'] }, async ({ machines, machine }) => {
      const [host, neighbour] = [machine('h1'), machine('h2')]
      await Promise.all(machines.map(async (one) => install(one, (await packages()).current.file)))
      await configureAll(machines)
      for (const one of machines) await one.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
      for (const one of machines) await one.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
      await letIn(host, neighbour)
      const sessions = [await openSession(neighbour, `admin@${host.ipv4}`), await openSession(neighbour, `root@${host.ipv6}`)]
      try {
        await wouldBeObserved(host)
        await isRefused(host, neighbour)
        await isEnforced(host, neighbour)
        await isSeen(host, neighbour)
        await isTried(host, neighbour, sessions)
      } finally {
        for (const { ssh } of sessions) await stop(ssh, 'SIGKILL')
      }
      await outlivesBoot(host, neighbour)
      await outlivesUpgrade(host, neighbour)
      await isPurged(host)
    })
  },
)

test.run()

const document = (kind: string, name: string, spec: string, metadata = '') =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}, ${metadata}}\nspec: {${spec}}\n---\n`
const HOST_ENDPOINT = document('HostEndpoint', 'h1-eth0', 'node: h1, interfaceName: eth0', 'labels: {role: host}')
const NO_FAILSAFES = document('FelixConfiguration', 'default', 'failsafeInboundHostPorts: []')
const egress = document('GlobalNetworkPolicy', 'out', "selector: role == 'host', types: [Egress], egress: [{action: Allow}]")
const staged = document(
  'StagedGlobalNetworkPolicy',
  'strict',
  "selector: role == 'host', order: 1, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [8081]}}]",
)
const web = (...ports: readonly number[]) =>
  document(
    'GlobalNetworkPolicy',
    'web',
    `selector: role == 'host', types: [Ingress], ingress: [
      {action: Log, protocol: TCP, destination: {ports: [8081]}},
      {action: Allow, protocol: TCP, destination: {ports: [${ports}]}},
      {action: Deny, protocol: TCP, destination: {ports: [8082]}}]`,
    'annotations: {margay.io/log: "true"}',
  )
const PORTS = [22, 8081, 8082, 8083]
const WITH_SSH = { 22: 'open', 8081: 'open', 8082: 'closed', 8083: 'closed' }
const WITHOUT_SSH = { ...WITH_SSH, 22: 'closed' }

/** Two users of the host, root and another, are let in by a key of the neighbour's. */
async function letIn(host: Machine, neighbour: Machine): Promise<void> {
  await neighbour.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', '/root/.ssh/id_ed25519'])
  const key = await neighbour.run(['cat', '/root/.ssh/id_ed25519.pub'])
  await host.run(['useradd', '--create-home', 'admin'])
  for (const [user, home] of [
    ['root', '/root'],
    ['admin', '/home/admin'],
  ] as const) {
    await host.run(['mkdir', '-p', `${home}/.ssh`])
    host.write(`${home}/.ssh/authorized_keys`, key)
    await host.run(['chown', '-R', user, `${home}/.ssh`])
    await host.run(['chmod', '700', `${home}/.ssh`])
  }
  await host.run(['systemctl', 'start', 'ssh'])
}

interface SshSession {
  readonly ssh: ChildProcess
  /** Lines that have come. */
  lines(): number
}

/** A session in which something is said all the time. */
async function openSession(from: Machine, to: string): Promise<SshSession> {
  const options = ['-o', 'StrictHostKeyChecking=no', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR']
  const ssh = start(from, ['ssh', ...options, to, 'while echo said; do sleep 0.05; done'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let lines = 0
  ssh.stdout?.on('data', (text) => {
    lines += String(text).split('\n').length - 1
  })
  await until({ what: `a session with ${to}` }, () => (lines > 0 ? true : undefined))
  return { ssh, lines: () => lines }
}

/** What is there already is judged before anything is closed. */
async function wouldBeObserved(host: Machine): Promise<void> {
  const report = await host.run(['margay', 'observe', '--interface', 'eth0', '--label', 'role=host', '--duration', '1s'])
  assert.match(report, /\b22\b/)
}

/** The neighbour asks: what the host knows of its sessions it has from its own sockets, of processes of any user. */
async function isRefused(host: Machine, neighbour: Machine): Promise<void> {
  const { code, stderr } = await applied(neighbour, [NO_FAILSAFES, HOST_ENDPOINT])
  assert.is(code, 1)
  for (const [from, to] of [
    [neighbour.ipv4, host.ipv4],
    [neighbour.ipv6.replace(':0::', '::'), host.ipv6.replace(':0::', '::')],
  ]) {
    assert.match(stderr, new RegExp(`h1: SSH from ${from} port \\d+ to ${to} port 22: to-host, host endpoint h1-eth0`))
  }
  assert.not.match(await host.run(['margay', 'get', 'hostendpoint']), 'h1-eth0')
}

async function isEnforced(host: Machine, neighbour: Machine): Promise<void> {
  const { code, stderr } = await applied(neighbour, [web(8081, 22), egress, staged, NO_FAILSAFES, HOST_ENDPOINT], ['--wait'])
  assert.is(code, 0, stderr)
  assert.equal(await portsSeen(neighbour, host, PORTS), WITH_SSH)
}

async function isSeen(host: Machine, neighbour: Machine): Promise<void> {
  const flows = await host.run(['margay', 'flows'])
  assert.match(flows, new RegExp(`allow ingress h1-eth0: TCP ${neighbour.ipv4}:\\d+ > ${host.ipv4}:8081, .*GlobalNetworkPolicy web rule 1`))
  assert.match(flows, /log {3}ingress h1-eth0: .*GlobalNetworkPolicy web rule 0 \[calico-packet\]/)
  assert.match(flows, /deny {2}ingress h1-eth0: TCP \[2001:db8::12\]:\d+ > \[2001:db8::11\]:8082, .*GlobalNetworkPolicy web rule 2/)
  assert.match(flows, /deny {2}ingress h1-eth0: .*:8083, .*end of tier default/)
  const stats = await host.run(['margay', 'policy', 'stats', '-o', 'wide'])
  assert.match(stats, /StagedGlobalNetworkPolicy +strict +ingress +0 +Deny \(staged\) +2 /)
  assert.match(stats, /GlobalNetworkPolicy +web +ingress +2 +Deny +[1-9]/)
  const status = await host.run(['margay', 'status'])
  assert.match(status, /Denied +\d+ packets? in the last minute/)
  const audit = JSON.parse(await host.run(['margay', 'audit', 'exposed', '-o', 'json'])) as { readonly ports: readonly Listed[] }
  const programs = audit.ports.map(({ port, program }) => `${port} ${program}`)
  for (const one of ['22 sshd', '23790 etcd']) assert.ok(programs.includes(one), programs.join(', '))
}

interface Listed {
  readonly port: number
  readonly program?: string
}

/** A session goes on while its end is on trial, and ends when that is confirmed. */
async function isTried(host: Machine, neighbour: Machine, sessions: readonly SshSession[]): Promise<void> {
  const first = await applied(neighbour, [web(8081)], ['--force', '--confirm', '6s'])
  assert.is(first.code, 0, first.stderr)
  assert.equal(await portsSeen(neighbour, host, PORTS), WITHOUT_SSH)
  assert.match(await host.run(['margay', 'status']), '2 flows would end with what is on trial')
  await until({ what: 'the policy that was to return', deadlineMs: 15_000 }, async () =>
    (await portsSeen(neighbour, host, [22]))[22] === 'open' ? true : undefined,
  )
  const before = sessions.map(({ lines }) => lines())
  await until({ what: 'the sessions to go on' }, () => (sessions.every(({ lines }, at) => lines() > (before[at] ?? 0)) ? true : undefined))
  const second = await applied(neighbour, [web(8081)], ['--force', '--confirm', '60s'])
  assert.is(second.code, 0, second.stderr)
  await neighbour.run(['margay', 'confirm'])
  // An sshd that is told of the end of its connection closes it at once; the client finds out when it says something.
  await until({ what: 'the sessions to end', deadlineMs: 5000 }, async () =>
    (await host.run(['ss', '-Htn', 'state', 'established', 'sport', '=', ':22'])) === '' ? true : undefined,
  )
  assert.match(await host.run(['margay', 'status']), /Ended +2 flows/)
  assert.equal(await portsSeen(neighbour, host, PORTS), WITHOUT_SSH)
}

/** Counters, logs, limits and sets of the rules that nft loads before the network is there; nothing of trials and of ended flows. */
async function outlivesBoot(host: Machine, neighbour: Machine): Promise<void> {
  const off = '/etc/systemd/system/margayd.service.d/off.conf'
  await until({ what: 'the boot rules', deadlineMs: 20_000 }, async () => {
    const text = await host.run(['cat', '/var/lib/margay/boot.nft'])
    return text.includes('deny') && !/trial|ended/.test(text) ? true : undefined
  })
  await host.powerOff()
  host.write(off, '[Unit]\nConditionPathExists=/nowhere\n')
  await host.boot()
  const { Result, SubState } = await unitOf(host, 'margay-boot', ['Result', 'SubState'])
  assert.equal([Result, SubState], ['success', 'exited'])
  assert.equal(await portsSeen(neighbour, host, PORTS), WITHOUT_SSH)
  const rules = await host.run(['nft', 'list', 'table', 'inet', 'margay'])
  for (const part of [
    /counter count_\w+ \{\s+packets [1-9]/,
    /limit rate 10\/second burst 20 packets log prefix "margay count_\w+ deny normal" group 77/,
  ]) {
    assert.match(rules, part)
  }
  await host.run(['rm', '-r', '/etc/systemd/system/margayd.service.d'])
  await host.run(['systemctl', 'daemon-reload'])
  await host.run(['systemctl', 'start', 'margayd'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.is((await host.run(['margay', 'diff'])).includes('policy'), false)
  await isTold(host, neighbour)
}

/** A newer package over the one that runs: the rules stay where they are, and what they tell is heard. */
async function outlivesUpgrade(host: Machine, neighbour: Machine): Promise<void> {
  const rules = async () =>
    (await host.run(['nft', '-s', '-a', 'list', 'table', 'inet', 'margay'])).replaceAll(/(timeout|expires) \w+/g, '')
  const before = await rules()
  await install(host, (await packages()).next.file)
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.is(await rules(), before)
  await isTold(host, neighbour)
}

/** A packet that is denied now is told of. */
async function isTold(host: Machine, neighbour: Machine): Promise<void> {
  const { stdout } = await host.try(['date', '+%FT%T'])
  const since = stdout.trim()
  assert.equal(await portsSeen(neighbour, host, [8082]), { 8082: 'closed' })
  await until({ what: 'an event of it' }, async () => {
    const lines = (await host.run(['margay', 'flows', '--dropped'])).split('\n')
    return lines.some((line) => line >= since && line.includes('web rule 2')) ? true : undefined
  })
}

async function isPurged(host: Machine): Promise<void> {
  await host.run(['apt-get', 'purge', '--yes', 'margay'], { timeoutMs: 60_000 })
  assert.not.match(await host.run(['nft', 'list', 'tables']), 'margay')
  for (const folder of ['/run/margay', '/var/lib/margay']) assert.is((await host.try(['ls', '-A', folder])).stdout, '', folder)
  for (const folder of ['/run/margay', '/var/lib/margay']) assert.is((await host.try(['test', '-e', folder])).code, 1, folder)
}

/** Documents that a host applies, however that ends. */
async function applied(host: Machine, documents: readonly string[], options: readonly string[] = []) {
  host.write('/root/documents.yaml', documents.join(''))
  return host.try(['margay', 'apply', '-f', '/root/documents.yaml', ...options], { timeoutMs: 60_000 })
}
