// at most 300 s
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { addWorkload, configure, install, unitOf, untilTalking, untilUnit, withMachines } from '../support/installed.ts'
import { differences, networkOf, parametersOf } from '../support/machine-state.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-install')
const { testOnMachines, packages } = await onMachines(test)

testOnMachines('two bare hosts become one network, and stay one over a reboot of each', async () => {
  await withMachines({ count: 2 }, async ({ machines, machine }) => {
    const [h1, h2] = [machine('h1'), machine('h2')]
    await Promise.all(machines.map(installsQuietly))
    await refusesWithoutConfiguration(h2)
    await refusesWrongConfiguration(h2)
    await configureAsDocumented(h1, h2)
    for (const host of machines) await host.run(['margay', 'config', 'check'])
    await startsAtOnce(h1)
    await startsAtOnce(h2)
    const [w1, w2] = [await addWorkload(h1, 'w1'), await addWorkload(h2, 'w2')]
    await untilTalking(w1, w2)
    await speaksToTheJournal(h1)
    await reloads(h1)
    await keepsEtcd(h1)
    await isConfined(h2)
    await admitsItsGroup(h2)
    await attachesProcessOfAnyUser(h2)
    for (const [host, goDown] of [
      [h2, h2.powerOff],
      [h1, h1.cutPower],
    ] as const) {
      await goDown()
      await host.boot()
      assert.is((await unitOf(host, 'margayd', ['ActiveState'])).ActiveState, 'active')
      await untilTalking(w1, w2)
      await startedAfterTheNetwork(host)
    }
  })
})

test.run()

/** Nothing on the network changes before a configuration says how, and nothing of ours runs. */
async function installsQuietly(host: Machine): Promise<void> {
  const before = { network: await networkOf(host), parameters: await parametersOf(host) }
  await install(host, (await packages()).current.file)
  assert.equal(differences(before.network, await networkOf(host)), [])
  assert.equal(await parametersOf(host), before.parameters)
  assert.is((await unitOf(host, 'margayd', ['ActiveState'])).ActiveState, 'inactive')
  assert.is((await host.try(['pgrep', '-f', 'margay'])).stdout, '')
}

/** The one thing that must be given is missing: said once, in the unit's status, and not tried again. */
async function refusesWithoutConfiguration(host: Machine): Promise<void> {
  await failsOnce(host, /Status: ".*etcd\.endpoints: no etcd is given, give etcd\.endpoints, or etcd\.embedded: true/)
}

async function refusesWrongConfiguration(host: Machine): Promise<void> {
  configure(host, { etcd: { endpoint: ['http://192.0.2.1:2379'] } })
  await failsOnce(host, /config\.json:3:5: etcd\.endpoint: unknown key: did you mean "etcd\.endpoints"\?/)
}

async function failsOnce(host: Machine, words: RegExp): Promise<void> {
  const { code } = await host.try(['systemctl', 'start', 'margayd'])
  assert.ok(code !== 0, 'systemctl start said that all is well')
  await untilUnit(host, 'margayd', 'failed')
  const { NRestarts } = await unitOf(host, 'margayd', ['NRestarts'])
  assert.is(NRestarts, '0')
  const { stdout } = await host.try(['systemctl', 'status', '--no-pager', 'margayd'])
  assert.match(stdout, words)
  await host.run(['systemctl', 'reset-failed', 'margayd'])
}

/** Runs the commands and takes the configurations of docs/install.md, "A network of one's own, from nothing", with our addresses. */
async function configureAsDocumented(first: Machine, other: Machine): Promise<void> {
  const page = readFileSync('docs/install.md', 'utf8').replaceAll('192.0.2.10', first.ipv4)
  const block = (part: string) => page.split('```').find((text) => text.includes(part)) ?? ''
  const take = (part: string) => block(part).replace(/^jsonc\n/, '')
  await first.run(['bash', '-ec', block('openssl req -x509')])
  first.write('/etc/margay/config.json', take('"embedded": true'))
  for (const [from, to] of [
    ['ca.crt', 'ca.crt'],
    ['host2.crt', 'host.crt'],
    ['host2.key', 'host.key'],
  ] as const) {
    other.write(`/etc/margay/${to}`, await first.run(['cat', `/etc/margay/pki/${from}`]), 0o600)
  }
  other.write('/etc/margay/config.json', take('"endpoints": ['))
}

/** What a person does, and no more. */
async function startsAtOnce(host: Machine): Promise<void> {
  await host.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.match((await unitOf(host, 'margayd', ['StatusText'])).StatusText, /^ready, revision \d+, 0 workloads$/)
}

/** Each line is JSON with the journal's own priority, and nothing has been said twice by the shell of the unit. */
async function speaksToTheJournal(host: Machine): Promise<void> {
  const text = await host.run(['journalctl', '--no-pager', '-o', 'json', '_SYSTEMD_UNIT=margayd.service'])
  const entries = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { MESSAGE: string; PRIORITY: string })
  const levels = entries.map(({ MESSAGE, PRIORITY }) => `${(JSON.parse(MESSAGE) as { level: number }).level} ${PRIORITY}`)
  assert.ok(levels.includes('30 6'))
  assert.equal(
    levels.filter((pair) => !['30 6', '40 4', '50 3', '20 7'].includes(pair)),
    [],
  )
}

async function reloads(host: Machine): Promise<void> {
  const file = '/etc/margay/config.json'
  const text = await host.run(['cat', file])
  const { MainPID } = await unitOf(host, 'margayd', ['MainPID'])
  host.write(file, text.replace('{', '{ "node": { "labels": { "rack": "r1" } },'))
  await host.run(['systemctl', 'reload', 'margayd'])
  await until({ what: 'the label in etcd' }, async () => {
    const { stdout } = await host.try(['margay', 'get', 'node', host.name, '-o', 'json'])
    return stdout.includes('"rack": "r1"') ? true : undefined
  })
  assert.is((await unitOf(host, 'margayd', ['MainPID'])).MainPID, MainPID, 'it is the same process')
}

/** The etcd of all hosts does not go when this host's daemon does. */
async function keepsEtcd(host: Machine): Promise<void> {
  const { MainPID } = await unitOf(host, 'margay-etcd', ['MainPID'])
  await host.run(['systemctl', 'stop', 'margayd'])
  assert.equal(await unitOf(host, 'margay-etcd', ['MainPID', 'ActiveState']), { MainPID, ActiveState: 'active' })
  await host.run(['systemctl', 'start', 'margayd'])
}

/** As little as it needs, but in the mount namespace of the host: in one of its own, pins of network namespaces would go with it. */
async function isConfined(host: Machine): Promise<void> {
  const { MainPID } = await unitOf(host, 'margayd', ['MainPID'])
  const [ofDaemon, ofHost] = await Promise.all([MainPID, '1'].map((pid) => host.run(['readlink', `/proc/${pid}/ns/mnt`])))
  assert.is(ofDaemon, ofHost)
  for (const [unit, most] of [
    ['margayd', 5],
    ['margay-etcd', 3],
  ] as const) {
    const text = await host.run(['systemd-analyze', 'security', '--no-pager', unit])
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1])
    process.stdout.write(`systemd-analyze security ${unit}: ${exposure}\n`)
    assert.ok(exposure <= most, text)
  }
}

/** The group margay may ask the daemon, others may not. */
async function admitsItsGroup(host: Machine): Promise<void> {
  await host.run(['useradd', '--groups', 'margay', 'anna'])
  await host.run(['useradd', 'bert'])
  assert.match(await host.run(['runuser', '-u', 'anna', '--', 'margay', 'status']), /^Ready +yes$/m)
  const { code, stderr } = await host.try(['runuser', '-u', 'bert', '--', 'margay', 'status'])
  assert.is(code, 1)
  assert.match(stderr, /^margay: no permission to use \/run\/margay\/margay\.sock/)
}

/** By the id of a process that is another user's, as a container's is. */
async function attachesProcessOfAnyUser(host: Machine): Promise<void> {
  await host.run(['systemd-run', '--quiet', '--unit=process', '--property=User=anna', '--property=PrivateNetwork=yes', 'sleep', 'infinity'])
  const { MainPID } = await unitOf(host, 'process', ['MainPID'])
  assert.match(await host.run(['margay', 'workload', 'add', 'process', '--pid', MainPID]), /^workload default\/process has 10\.65\./)
  await host.run(['margay', 'workload', 'rm', 'process'])
}

async function startedAfterTheNetwork(host: Machine): Promise<void> {
  const online = await unitOf(host, 'network-online.target', ['ActiveEnterTimestampMonotonic'])
  const daemon = await unitOf(host, 'margayd', ['ExecMainStartTimestampMonotonic', 'ActiveEnterTimestampMonotonic'])
  assert.ok(Number(online.ActiveEnterTimestampMonotonic) > 0, 'the network came up')
  assert.ok(Number(daemon.ExecMainStartTimestampMonotonic) >= Number(online.ActiveEnterTimestampMonotonic))
}
