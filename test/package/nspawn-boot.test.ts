// at most 300 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { configureAll, install, portsSeen, unitOf, withMachines } from '../support/installed.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-boot')
const { testOnMachines, packages } = await onMachines(test)

testOnMachines(
  'a host with a host endpoint is closed but for failsafe ports from its boot on, also where the daemon does not run',
  async () => {
    await withMachines({ count: 2 }, async ({ machine }) => {
      const [host, neighbour] = [machine('h1'), machine('h2')]
      await install(host, (await packages()).current.file)
      await configureAll([host])
      await host.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
      await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
      assert.equal(await seen(neighbour, host), { 22: 'open', 8080: 'open', 8081: 'open' })
      await followsHostEndpoints(host)
      const closed = { 22: 'open', 8080: 'closed', 8081: 'open' }
      assert.equal(await seen(neighbour, host), closed)
      await isNotLoadedTwice(host)
      await bootsWithoutDaemon(host)
      assert.equal(await seen(neighbour, host), closed)
      await cameBeforeTheNetwork(host)
      await isTakenOver(host)
      await isPurged(host)
    })
  },
)

test.run()

const FILE = '/var/lib/margay/boot.nft'
/** Keeps the daemon from starting, as a configuration that is refused would; but no unit of the machine has failed. */
const KEPT_OFF = '/etc/systemd/system/margayd.service.d/off.conf'

const HOST_ENDPOINT = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata:
  name: h1-eth0
spec:
  node: h1
  interfaceName: eth0
`
const POLICY = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: web
spec:
  types: [Ingress]
  ingress:
    - { action: Allow, protocol: TCP, destination: { ports: [8081] } }
`

/** The same in both families. */
const seen = (from: Machine, to: Machine) => portsSeen(from, to, [22, 8080, 8081])

/** The file comes with the first host endpoint and goes with the last. */
async function followsHostEndpoints(host: Machine): Promise<void> {
  host.write('/root/policy.yaml', POLICY)
  await host.run(['margay', 'apply', '-f', '/root/policy.yaml'])
  host.write('/root/host-endpoint.yaml', HOST_ENDPOINT)
  for (const [verb, isThere] of [
    ['apply', true],
    ['delete', false],
    ['apply', true],
  ] as const) {
    await host.run(['margay', verb, '-f', '/root/host-endpoint.yaml'])
    await until({ what: `${FILE} after ${verb}`, everyMs: 50 }, async () =>
      ((await host.try(['test', '-e', FILE])).code === 0) === isThere ? true : undefined,
    )
  }
  assert.is((await host.run(['stat', '-c', '%a %U', FILE])).trim(), '600 root')
  await host.run(['nft', '-c', '-f', FILE])
}

/** Each start of a unit asks for all of sysinit.target that is not active: that must not put older rules over the daemon's. */
async function isNotLoadedTwice(host: Machine): Promise<void> {
  await host.run(['systemd-run', '--quiet', '--wait', 'true'])
  await host.run(['systemctl', 'stop', 'margayd'])
  await host.run(['systemctl', 'start', 'margayd', 'margay-boot'])
  const { ActiveState, ConditionResult } = await unitOf(host, 'margay-boot', ['ActiveState', 'ConditionResult'])
  assert.equal([ActiveState, ConditionResult], ['inactive', 'no'])
}

/** With the rules that the daemon wrote. */
async function bootsWithoutDaemon(host: Machine): Promise<void> {
  await host.powerOff()
  host.write(KEPT_OFF, '[Unit]\nConditionPathExists=/nowhere\n')
  await host.boot()
  assert.is((await unitOf(host, 'margayd', ['ActiveState'])).ActiveState, 'inactive')
}

async function cameBeforeTheNetwork(host: Machine): Promise<void> {
  const boot = await unitOf(host, 'margay-boot', ['ActiveState', 'SubState', 'ExecMainExitTimestampMonotonic'])
  const network = await unitOf(host, 'systemd-networkd', ['ExecMainStartTimestampMonotonic'])
  assert.equal([boot.ActiveState, boot.SubState], ['active', 'exited'])
  const [loaded, started] = [Number(boot.ExecMainExitTimestampMonotonic), Number(network.ExecMainStartTimestampMonotonic)]
  process.stdout.write(`boot rules were in force ${Math.round((started - loaded) / 1000)} ms before systemd-networkd was started\n`)
  assert.ok(loaded > 0 && loaded <= started, `loaded at ${loaded} us, the network was started at ${started} us`)
}

/** The daemon comes up, all that is in the table is its own, and the unit stays as it is. */
async function isTakenOver(host: Machine): Promise<void> {
  await host.run(['rm', '-r', '/etc/systemd/system/margayd.service.d'])
  await host.run(['systemctl', 'daemon-reload'])
  await host.run(['systemctl', 'start', 'margayd'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.is((await host.run(['margay', 'diff'])).includes('policy'), false)
  assert.is((await unitOf(host, 'margay-boot', ['ActiveState'])).ActiveState, 'active')
}

async function isPurged(host: Machine): Promise<void> {
  await host.run(['apt-get', 'purge', '--yes', 'margay'], { timeoutMs: 60_000 })
  assert.not.match(await host.run(['nft', 'list', 'tables']), 'margay')
  assert.is((await host.try(['test', '-e', FILE])).code, 1)
  assert.is((await host.run(['find', '/etc/systemd', '-name', 'margay*'])).trim(), '')
  assert.is((await host.run(['systemctl', 'list-units', '--all', '--no-legend', 'margay*'])).trim(), '')
}
