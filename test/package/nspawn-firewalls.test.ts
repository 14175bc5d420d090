// runs alone
// at most 600 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, tryRun, until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { IS_LONG } from '../support/fault.ts'
import {
  addWorkload,
  configureAll,
  install,
  type MachineWorkload,
  placeOf,
  portsSeen,
  untilTalking,
  withMachines,
} from '../support/installed.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-firewalls')
const { testOnMachines, packages } = await onMachines(test)

const TITLE =
  'firewalld, ufw and Docker beside us: theirs stays theirs and ours stays ours, what they drop is named, and each cure works as it is written'
if (IS_LONG) testOnMachines(TITLE, () => besideOthers())
else {
  process.stdout.write(`skipped: ${TITLE}, because it installs all of these, and takes minutes: --long runs it\n`)
  test.skip(TITLE, () => {})
}
test.run()

const PACKAGES = ['busybox-static', 'docker.io', 'firewalld', 'iptables', 'ufw']

async function besideOthers(): Promise<void> {
  await withMachines({ count: 2, packages: PACKAGES }, async ({ machines, machine }) => {
    const [host, neighbour] = [machine('h1'), machine('h2')]
    await Promise.all(machines.map(async (one) => install(one, (await packages()).current.file)))
    await configureAll(machines)
    for (const one of machines) await one.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
    // IPv4 through tunnels, IPv6 without: what other firewalls see of them is not the same.
    await host.run(['margay', 'patch', 'ippool', 'default-ipv4-ippool', '--patch', '{"spec": {"vxlanMode": "Always"}}'])
    const pair = [await addWorkload(host, 'w1'), await addWorkload(neighbour, 'w2')] as const
    await untilTalking(...pair)
    await listens(host, 8081, 'hello')
    await apply(host, HOST_ENDPOINT, WEB)
    const all: Everything = { host, neighbour, pair }
    assert.equal(await reached(all), OPEN)
    await besideFirewalld(all)
    await besideUfw(all)
    await besideDocker(all)
    await comesBack(all)
  })
}

interface Everything {
  readonly host: Machine
  readonly neighbour: Machine
  readonly pair: readonly [MachineWorkload, MachineWorkload]
}

const document = (kind: string, name: string, spec: string, metadata = '') =>
  `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}, ${metadata}}\nspec: {${spec}}\n---\n`
const policy = (name: string, spec: string) => document('GlobalNetworkPolicy', name, `selector: role == 'host', ${spec}`)
const HOST_ENDPOINT = document('HostEndpoint', 'h1-eth0', 'node: h1, interfaceName: eth0', 'labels: {role: host}')
const WEB = policy(
  'web',
  'types: [Ingress, Egress], egress: [{action: Allow}], ingress: [{action: Allow, protocol: TCP, destination: {ports: [8081]}}]',
)

async function apply(host: Machine, ...documents: readonly string[]): Promise<void> {
  host.write('/root/documents.yaml', documents.join(''))
  await host.run(['margay', 'apply', '--wait', '-f', '/root/documents.yaml'], { timeoutMs: 60_000 })
}

/** A program that answers on a port with a word. */
async function listens(host: Machine, port: number, word: string): Promise<void> {
  const unit = ['systemd-run', '--quiet', `--unit=listens-${port}`]
  await host.run([...unit, 'busybox', 'nc', '-ll', '-p', String(port), '-e', 'busybox', 'echo', word])
  await until({ what: `port ${port}` }, async () => ((await host.run(['ss', '-Hltn', 'sport', '=', `:${port}`])) === '' ? undefined : true))
}

/** Everything that margay lets through, by what others may cut. */
const OPEN = { 'what workloads send': 'open', 'what is sent to workloads': 'open', etcd: 'open', web: 'open' }

async function reached({ host, neighbour, pair: [w1, w2] }: Everything): Promise<Readonly<Record<string, string>>> {
  const [out, back, ports] = await Promise.all([
    Promise.all([w2.ipv4, w2.ipv6].map((to) => look(placeOf(w1), to))),
    Promise.all([w1.ipv4, w1.ipv6].map((to) => look(placeOf(w2), to))),
    portsSeen(neighbour, host, [8081]),
  ])
  const etcd = await tryRun(neighbour, ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${host.ipv4}/23790`])
  const both = (states: readonly string[]) => [...new Set(states)].join(' and ')
  const web = ports[8081] === 'open' ? 'open' : 'closed'
  return { 'what workloads send': both(out), 'what is sent to workloads': both(back), etcd: etcd.code === 0 ? 'open' : 'closed', web }
}

/** Nobody listens in workloads: their kernel refuses what comes through; a firewall that refuses says something else. */
async function look(from: Place, to: string): Promise<string> {
  const { stderr } = await tryRun(from, ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${to}/80`])
  return stderr.includes('Connection refused') ? 'open' : 'closed'
}

/** Our table, but for what counts. */
async function ours(host: Machine): Promise<string> {
  return host.run(['nft', '-s', '-a', 'list', 'table', 'inet', 'margay'])
}

async function warningsOf(host: Machine): Promise<readonly string[]> {
  return (JSON.parse(await host.run(['margay', 'audit', 'exposed', '-o', 'json'])) as { readonly warnings: readonly string[] }).warnings
}

/** Cures are typed as they are told, and nothing is dropped after that. */
async function isCured(all: Everything, about: readonly RegExp[]): Promise<void> {
  const { host } = all
  const drops = (await warningsOf(host)).filter((text) => text.includes("which is not margay's"))
  for (const pattern of about)
    assert.ok(
      drops.some((text) => pattern.test(text)),
      `${pattern}: ${drops.join('\n')}`,
    )
  await until({ what: 'status to say the same' }, async () => {
    const text = await host.run(['margay', 'status'])
    return drops.every((drop) => text.includes(drop)) ? true : undefined
  })
  const cures = new Set(drops.map((text) => text.slice(text.indexOf('policies allow: ') + 'policies allow: '.length)))
  for (const cure of cures) {
    process.stdout.write(`# ${cure}\n`)
    await host.run(['sh', '-c', cure])
  }
  assert.equal(await reached(all), OPEN)
  assert.equal(
    (await warningsOf(host)).filter((text) => text.includes("which is not margay's")),
    [],
  )
}

/** What somebody does leaves our table as it is, down to the handles of rules. */
async function leavesOurs(host: Machine, ...argv: readonly string[]): Promise<void> {
  const before = await ours(host)
  await host.run(argv, { timeoutMs: 60_000 })
  assert.is(await ours(host), before, argv.join(' '))
}

async function besideFirewalld(all: Everything): Promise<void> {
  const { host } = all
  await leavesOurs(host, 'systemctl', 'start', 'firewalld')
  await until({ what: "firewalld's rules" }, async () =>
    (await host.run(['nft', 'list', 'tables'])).includes('firewalld') ? true : undefined,
  )
  await until({ what: 'firewalld to run' }, async () => ((await host.try(['firewall-cmd', '--state'])).code === 0 ? true : undefined))
  assert.equal(Object.values(await reached(all)), ['closed', 'closed', 'closed', 'closed'])
  await isCured(all, [
    /chain filter_FWD_public in table inet firewalld, .*drops what workloads send/,
    /drops what is sent to workloads/,
    /chain filter_IN_public .*packets of tunnels .*--zone=public --add-port=4789\/udp/,
    /drops what other hosts ask the etcd of this host .*--add-port=23790\/tcp/,
    /drops TCP port 8081 \(busybox\).*--add-port=8081\/tcp/,
  ])
  await leavesOurs(host, 'firewall-cmd', '--reload')
  assert.equal(await reached(all), OPEN)
  await leavesTheirs(host)
  await leavesOurs(host, 'systemctl', 'stop', 'firewalld')
}

async function besideUfw(all: Everything): Promise<void> {
  const { host } = all
  await leavesOurs(host, 'ufw', '--force', 'enable')
  assert.equal(Object.values(await reached(all)), ['closed', 'closed', 'closed', 'closed'])
  await isCured(all, [
    /policy of chain FORWARD in table ip filter, .*drops what workloads send, .*: ufw route allow in on mgy\+$/,
    /table ip6 filter, .*drops what is sent to workloads, .*: ufw route allow out on mgy\+$/,
    /drops packets of tunnels .*: ufw allow proto udp to any port 4789$/,
    /: ufw allow proto tcp to any port 23790$/,
    /: ufw allow proto tcp to any port 8081$/,
  ])
  await leavesOurs(host, 'ufw', 'reload')
  assert.equal(await reached(all), OPEN)
  await leavesTheirs(host)
  await leavesOurs(host, 'ufw', '--force', 'disable')
  for (const family of ['ip', 'ip6']) await host.run(['nft', 'delete', 'table', family, 'filter'])
}

/** A daemon that starts anew, and repairs its own, takes nothing of others. */
async function leavesTheirs(host: Machine): Promise<void> {
  const theirs = async () => (await host.run(['nft', '-s', 'list', 'ruleset'])).replace(/table inet margay \{[\s\S]*?\n\}\n/, '')
  const before = await theirs()
  await host.run(['nft', 'delete', 'table', 'inet', 'margay'])
  await untilBack(host)
  await host.run(['systemctl', 'restart', 'margayd'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.is(await theirs(), before)
}

async function untilBack(host: Machine): Promise<void> {
  await until({ what: 'our table to be back', deadlineMs: 1000, everyMs: 20 }, async () =>
    (await host.run(['nft', 'list', 'tables'])).includes('inet margay') ? true : undefined,
  )
}

/** Its data must lie on a file system that is no layer itself, and its groups be writable. */
const DROP_IN = `[Service]
ExecStartPre=sh -c 'for group in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $$group; done; true'
LimitNOFILE=16384
`

/** Published ports are translated before policies of the host are asked, and forwarded. */
async function besideDocker(all: Everything): Promise<void> {
  const { host, neighbour } = all
  host.write('/etc/systemd/system/docker.service.d/lab.conf', DROP_IN)
  await host.run(['mount', '--mkdir', '-t', 'tmpfs', 'tmpfs', '/var/lib/docker'])
  await host.run(['systemctl', 'daemon-reload'])
  await leavesOurs(host, 'systemctl', 'start', 'docker')
  // As Docker does where it is the first to turn forwarding on.
  for (const program of ['iptables']) await host.run([program, '-P', 'FORWARD', 'DROP'])
  await isCured(all, [
    /FORWARD in table ip filter, .*what workloads send, .*: iptables -I DOCKER-USER -i mgy\+ -j ACCEPT$/,
    /: iptables -I DOCKER-USER -o mgy\+ -j ACCEPT$/,
  ])
  await host.run([
    'sh',
    '-ec',
    'mkdir -p /tmp/image/bin; cp /bin/busybox /tmp/image/bin/; tar -C /tmp/image -c . | docker import - busybox',
  ])
  const container = ['--detach', '--name=web', '--restart=always', '--stop-timeout=1', '--publish=8080:80', 'busybox']
  await host.run(['docker', 'run', ...container, '/bin/busybox', 'nc', '-ll', '-p', '80', '-e', '/bin/busybox', 'echo', 'hello'])
  const isPublished = (want: 'open' | 'closed') =>
    until({ what: `the published port to be ${want}`, everyMs: 50 }, async () => {
      const { stdout } = await neighbour.try(['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${host.ipv4}/8080; cat <&3`])
      return (stdout.trim() === 'hello' ? 'open' : 'closed') === want ? true : undefined
    })
  await isPublished('open')
  const uncovered = /^TCP port 8080 is published to 172\.17\.0\.2:80, and no policy with preDNAT or applyOnForward is asked$/
  const isNamed = async () => (await warningsOf(host)).some((text) => uncovered.test(text))
  assert.is(await isNamed(), true)
  assert.match(await host.run(['margay', 'status']), 'TCP port 8080 is published to 172.17.0.2:80')
  const ways = [
    policy(
      'one',
      'order: 1, preDNAT: true, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, protocol: TCP, destination: {ports: [8080]}}]',
    ),
    policy('two', 'order: 1, applyOnForward: true, types: [Ingress], ingress: [{action: Deny, destination: {nets: [172.17.0.0/16]}}]'),
  ]
  for (const way of ways) {
    await apply(host, way)
    await isPublished('closed')
    assert.is(await isNamed(), false)
    assert.equal(await portsSeen(neighbour, host, [22, 8081]), { 22: 'open', 8081: 'open' })
    await leavesOurs(host, 'systemctl', 'restart', 'docker')
    await isPublished('closed')
    host.write('/root/documents.yaml', way)
    await host.run(['margay', 'delete', '--wait', '-f', '/root/documents.yaml'], { timeoutMs: 60_000 })
    await isPublished('open')
  }
  await leavesTheirs(host)
}

/** Somebody throws everything away, or loads a file that begins with that. */
async function comesBack({ host }: Everything): Promise<void> {
  const before = (await ours(host)).replaceAll(/ # handle \d+/g, '')
  for (const argv of [
    ['nft', 'flush', 'ruleset'],
    ['systemctl', 'restart', 'nftables'],
  ]) {
    await host.run(argv)
    await untilBack(host)
    await host.run(['margay', 'status', '--wait', '10'])
    assert.is((await ours(host)).replaceAll(/ # handle \d+/g, ''), before, argv.join(' '))
  }
  assert.match(await host.run(['nft', 'list', 'tables']), 'table inet filter')
}
