// runs alone
// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { IS_LONG } from '../support/fault.ts'
import { addWorkload, configureAll, install, unitOf, unnoticed, untilTalking, withMachines } from '../support/installed.ts'
import { differences, filesOf, type HostState, networkOf } from '../support/machine-state.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-service')
const { testOnMachines, packages } = await onMachines(test)

testOnMachines('traffic does not notice what happens to the daemon and its package, and a purge leaves nothing', async () => {
  await withMachines({ count: 2 }, async ({ machines, machine }) => {
    const [h1, h2] = [machine('h1'), machine('h2')]
    const before = await Promise.all(machines.map(stateOf))
    await Promise.all(machines.map(async (host) => install(host, (await packages()).current.file)))
    await configureAll(machines)
    for (const host of machines) await host.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
    const pair = [await addWorkload(h1, 'w1'), await addWorkload(h2, 'w2')] as const
    await untilTalking(...pair)
    await unnoticed('stop and start', pair, () => stopsAndStarts(h2))
    await unnoticed('kill -9', pair, () => isKilled(h2))
    await unnoticed('a hang', pair, () => hangs(h2))
    await unnoticed('a start of systemd-networkd', pair, () => h2.run(['systemctl', 'restart', 'systemd-networkd']))
    await unnoticed('an upgrade of both hosts', pair, () => Promise.all(machines.map(isUpgraded)))
    await unnoticed('a removal from both hosts', pair, () => Promise.all(machines.map(isRemoved)))
    await unnoticed('installing it again on one host', pair, () => isInstalledAgain(h1))
    for (const [index, host] of machines.entries()) {
      await isPurged(host)
      assert.equal(differences(before[index] ?? {}, await stateOf(host)), REMAINS[index])
    }
  })
})

test.run()

/** What a purge leaves on each host, in the kernel, on the disk and among users: only what somebody has put beside our files. */
const REMAINS = [
  ['', '/ca.crt', '/server.crt', '/server.key'].map((path) => `paths: + /etc/margay${path}`),
  ['', '/ca.crt', '/client.crt', '/client.key'].map((path) => `paths: + /etc/margay${path}`),
]

async function stopsAndStarts(host: Machine): Promise<void> {
  await host.run(['systemctl', 'stop', 'margayd'])
  assert.is((await host.try(['pgrep', '-f', '/usr/lib/margay/'])).stdout, '', 'nothing of it runs')
  await host.run(['systemctl', 'start', 'margayd'])
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
}

async function isKilled(host: Machine): Promise<void> {
  await comesBack(host, 'signal', () => host.run(['systemctl', 'kill', '--kill-who=main', '--signal=KILL', 'margayd']))
}

/** A stopped process feeds no watchdog. A minute is what the package says; a test that is run often has less time. */
async function hangs(host: Machine): Promise<void> {
  if (!IS_LONG) {
    host.write('/etc/systemd/system/margayd.service.d/lab.conf', '[Service]\nWatchdogSec=6\n')
    await host.run(['systemctl', 'daemon-reload'])
    await host.run(['systemctl', 'restart', 'margayd'])
  }
  await comesBack(host, 'watchdog', () => host.run(['systemctl', 'kill', '--kill-who=main', '--signal=STOP', 'margayd']))
  await host.run(['rm', '-rf', '/etc/systemd/system/margayd.service.d'])
}

/** The service manager starts it again by itself, for this reason. */
async function comesBack(host: Machine, result: string, act: () => Promise<unknown>): Promise<void> {
  const before = await unitOf(host, 'margayd', ['MainPID', 'NRestarts'])
  await act()
  await until({ what: 'margayd to be started again', deadlineMs: 120_000, everyMs: 100 }, async () => {
    const { MainPID, NRestarts, ActiveState } = await unitOf(host, 'margayd', ['MainPID', 'NRestarts', 'ActiveState'])
    return ActiveState === 'active' && MainPID !== before.MainPID && Number(NRestarts) === Number(before.NRestarts) + 1 ? true : undefined
  })
  const said = await host.run(['journalctl', '--no-pager', '-u', 'margayd', '_PID=1', '-o', 'cat'])
  assert.ok(said.includes(`Failed with result '${result}'`), said)
}

async function isUpgraded(host: Machine): Promise<void> {
  const before = await unitOf(host, 'margayd', ['MainPID'])
  const { file, version } = (await packages()).next
  await install(host, file)
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  const { MainPID, ActiveState } = await unitOf(host, 'margayd', ['MainPID', 'ActiveState'])
  assert.ok(ActiveState === 'active' && MainPID !== before.MainPID, 'the new daemon runs')
  assert.equal(JSON.parse(await host.run(['margay', 'version', '-o', 'json'])), { client: version, daemon: version })
}

async function isRemoved(host: Machine): Promise<void> {
  await host.run(['apt-get', 'remove', '--yes', 'margay'])
  assert.is((await host.try(['pgrep', '-f', 'margay'])).stdout, '', 'nothing of it runs')
}

/** What was enabled when it was removed goes on by itself; a purge then has both to do. */
async function isInstalledAgain(host: Machine): Promise<void> {
  await install(host, (await packages()).next.file)
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  for (const unit of ['margayd', 'margay-etcd']) assert.is((await unitOf(host, unit, ['ActiveState'])).ActiveState, 'active', unit)
}

/** The workload goes first, and with it what the test made on the host. */
async function isPurged(host: Machine): Promise<void> {
  const name = host.name.replace('h', 'w')
  await host.run(['systemctl', 'disable', '--quiet', '--now', `netns-${name}.service`])
  await host.run(['ip', 'netns', 'del', name])
  await host.run(['rm', `/etc/systemd/system/netns-${name}.service`, '/root/margay.deb'])
  await host.run(['apt-get', 'purge', '--yes', 'margay'])
}

async function stateOf(host: Machine): Promise<HostState> {
  return { ...(await networkOf(host)), ...(await filesOf(host)) }
}
