// at most 300 s
import { existsSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { start, until } from '../../scripts/lab/command.ts'
import type { Machine } from '../../scripts/lab/machine.ts'
import { addWorkload, configure, configureAll, give, install, unitOf, unnoticed, untilTalking, withMachines } from '../support/installed.ts'
import { onMachines } from '../support/packages.ts'

const test = suite('package/nspawn-faults')
const { testOnMachines, packages } = await onMachines(test)

testOnMachines('a port of etcd that is taken is said, and used as soon as it is free', async () => {
  await withMachines({ count: 1 }, async ({ machine }) => {
    const host = machine('h1')
    await install(host, (await packages()).current.file)
    configure(host, { etcd: { embedded: true } })
    const listen = ['systemd-socket-activate', '--listen=127.0.0.1:23790', 'sleep', 'infinity']
    await host.run(['systemd-run', '--quiet', '--unit=stranger', ...listen])
    await host.run(['systemctl', 'start', '--no-block', 'margayd'])
    await untilSaid(host, 'margay-etcd', /Status: "127\.0\.0\.1:23790, where the embedded etcd shall listen, is taken by another program/)
    await until({ what: 'the status to say where etcd should be', deadlineMs: 20_000 }, async () => {
      const { stdout } = await host.try(['margay', 'status'])
      return /Ready +no: etcd .*127\.0\.0\.1:23790.*\(systemctl status margay-etcd\)/.test(stdout) ? true : undefined
    })
    await host.run(['systemctl', 'stop', 'stranger'])
    await host.run(['margay', 'status', '--wait', '60'], { timeoutMs: 70_000 })
  })
})

testOnMachines('a full disk and an upgrade that is interrupted hurt nothing that runs', async () => {
  await withMachines({ count: 2 }, async ({ machines, machine }) => {
    const [h1, h2] = [machine('h1'), machine('h2')]
    await Promise.all(machines.map(async (host) => install(host, (await packages()).current.file)))
    await configureAll(machines)
    await h1.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
    await startsWhenThereIsSpace(h2)
    const pair = [await addWorkload(h1, 'w1'), await addWorkload(h2, 'w2')] as const
    await untilTalking(...pair)
    await unnoticed('a full disk', pair, () => worksOnWithoutSpace(h2))
    await free(h2)
    await untilTalking(pair[0], await addWorkload(h2, 'w3'))
    await unnoticed('an interrupted upgrade', pair, () => upgradesInPieces(h2))
    await losesPowerInUpgrade(h1)
    await untilTalking(...pair)
  })
})

testOnMachines('a host without /dev/net/tun and without nft is a host like others', async () => {
  await withMachines({ count: 1, hasTun: false }, async ({ machine }) => {
    const host = machine('h1')
    await host.run(['rm', '/usr/sbin/nft'])
    await install(host, (await packages()).current.file)
    configure(host, { etcd: { embedded: true } })
    await host.run(['systemctl', 'enable', '--quiet', '--now', 'margayd'], { timeoutMs: 60_000 })
    await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
    await untilTalking(await addWorkload(host, 'w1'), await addWorkload(host, 'w2'))
    await host.run(['apt-get', 'purge', '--yes', 'margay'])
    assert.is(await host.run(['ip', '-o', 'link', 'show', 'type', 'vxlan']), '')
  })
})

test.run()

/** So that who waits for dpkg to be in the middle sees it there, also where both share a processor. */
const SLOWLY = ['nice', '-n', '19']

/** Waits until `systemctl status` of the unit shows these words, which is where a person looks first. */
async function untilSaid(host: Machine, unit: string, words: RegExp): Promise<void> {
  await until({ what: `${unit} on ${host.name} to say ${words}`, deadlineMs: 20_000, everyMs: 50 }, async () => {
    const { stdout } = await host.try(['systemctl', 'status', '--no-pager', '--full', unit])
    return words.test(stdout) ? true : undefined
  })
}

/** The first start needs the disk: it is tried again, and the unit's status names the file. */
async function startsWhenThereIsSpace(host: Machine): Promise<void> {
  await host.run(['mkdir', '-p', '/var/lib/margay'])
  await host.run(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', '/var/lib/margay'])
  await fill(host)
  await host.run(['systemctl', 'start', '--no-block', 'margayd'])
  await untilSaid(host, 'margayd', /Status: ".*could not write \/var\/lib\/margay\/instance: ENOSPC: no space left on device/)
  await free(host)
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
}

async function fill(host: Machine): Promise<void> {
  await host.try(['dd', 'if=/dev/zero', 'of=/var/lib/margay/full', 'bs=1k', 'count=64'])
}

async function free(host: Machine): Promise<void> {
  await host.run(['rm', '/var/lib/margay/full'])
}

/** A workload that can't be noted is refused and takes no address; what is there stays, also over a restart. */
async function worksOnWithoutSpace(host: Machine): Promise<void> {
  await fill(host)
  const before = await host.run(['margay', 'ipam', 'show'])
  await host.run(['ip', 'netns', 'add', 'refused'])
  const { code, stderr } = await host.try(['margay', 'workload', 'add', 'refused', '--netns', 'refused'])
  assert.is(code, 1)
  assert.match(stderr, /^margay: could not write \/var\/lib\/margay\/netns\/.*: ENOSPC: no space left on device/)
  assert.is(await host.run(['margay', 'ipam', 'show']), before)
  await host.run(['systemctl', 'restart', 'margayd'])
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.match(await host.run(['margay', 'workload', 'list']), /\bw2\b.*\bup\b/)
}

/** Killed while files are unpacked, and again while the new ones are configured; each time the daemon goes on. */
async function upgradesInPieces(host: Machine): Promise<void> {
  const { file, version } = (await packages()).next
  give(host, file, '/root/next.deb')
  await killDpkg(host, ['dpkg', '--install', '/root/next.deb'], () => isUnpacking(host))
  assert.is((await unitOf(host, 'margayd', ['ActiveState'])).ActiveState, 'active')
  await host.run(['systemctl', 'restart', 'margayd'])
  await host.run(['dpkg', '--unpack', '/root/next.deb'])
  await killDpkg(
    host,
    ['dpkg', '--configure', '-a'],
    async () => (await host.try(['pgrep', '-f', 'margay.postinst'])).code === 0 || undefined,
  )
  await host.run(['dpkg', '--configure', '-a'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.equal(JSON.parse(await host.run(['margay', 'version', '-o', 'json'])), { client: version, daemon: version })
}

/** The old version boots with what dpkg had not unpacked yet, and the upgrade can be done again. */
async function losesPowerInUpgrade(host: Machine): Promise<void> {
  const { current, next } = await packages()
  give(host, next.file, '/root/next.deb')
  start(host, [...SLOWLY, 'dpkg', '--install', '/root/next.deb'])
  await until({ what: 'dpkg to be in the middle', everyMs: 0 }, () => isUnpacking(host))
  await host.cutPower()
  await host.boot()
  assert.equal(JSON.parse(await host.run(['margay', 'version', '-o', 'json'])), { client: current.version, daemon: current.version })
  await host.run(['dpkg', '--install', '/root/next.deb'], { timeoutMs: 60_000 })
  await host.run(['margay', 'status', '--wait', '30'], { timeoutMs: 40_000 })
  assert.equal(JSON.parse(await host.run(['margay', 'version', '-o', 'json'])), { client: next.version, daemon: next.version })
}

/** New files stand beside the old ones until all are there; this is one of the first, and large ones come after it. */
function isUnpacking(host: Machine): true | undefined {
  return existsSync(host.pathOf('/usr/lib/margay/etcd.dpkg-new')) || undefined
}

/** Starts dpkg and kills it, and what it started, as soon as it is where it is wanted. */
async function killDpkg(
  host: Machine,
  argv: readonly string[],
  isThere: () => true | undefined | Promise<true | undefined>,
): Promise<void> {
  const child = start(host, [...SLOWLY, ...argv])
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  await until({ what: `${argv.join(' ')} to be in the middle`, everyMs: 0 }, isThere)
  await host.run(['pkill', '--signal', 'KILL', '--full', 'dpkg'])
  assert.is.not(await ended, 0, 'dpkg was killed')
}
