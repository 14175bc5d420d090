import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Ended, MACHINE, run, tryRun } from '../../scripts/lab/command.ts'

const test = suite('package/scripts')

const folder = join(tmpdir(), `mgt-${process.pid}-scripts`)
const root = join(folder, 'root')
const VERSIONS = ['1.0.0', '1.0.1'] as const

/** dpkg's own files, and copies that the programs for groups keep. */
const NOT_OURS = /^(var\/lib\/dpkg|var\/log|etc\/(\.pwd\.lock|group-?|gshadow-?))(\/|$)/

/** dpkg over a folder instead of this machine; it runs the scripts with DPKG_ROOT. */
function dpkg(...args: readonly string[]): Promise<Ended> {
  const options = [`--root=${root}`, '--force-script-chrootless', '--force-depends', '--force-unsafe-io', '--log=/dev/null']
  return tryRun(MACHINE, ['dpkg', ...options, ...args], { env: { LC_ALL: 'C.UTF-8' } })
}

async function mustDpkg(...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await dpkg(...args)
  assert.is(code, 0, stdout + stderr)
}

function inRoot(path: string): string {
  return join(root, path)
}

/** Paths of all that is in the folder but what dpkg keeps for itself. */
function contents(): readonly string[] {
  return readdirSync(root, { recursive: true })
    .map(String)
    .filter((path) => !NOT_OURS.test(path))
    .sort()
}

async function state(): Promise<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const format = '${db:Status-Status} ${Version}'
  return (await tryRun(MACHINE, ['dpkg-query', `--admindir=${inRoot('var/lib/dpkg')}`, '-W', '-f', format, 'margay'])).stdout
}

/** A root in which nothing is installed. */
function emptyRoot(): void {
  rmSync(root, { recursive: true, force: true })
  for (const path of [
    'etc/systemd/system',
    'run',
    'usr/lib',
    'var/lib/systemd',
    'var/lib/dpkg/info',
    'var/lib/dpkg/updates',
    'var/lib/dpkg/triggers',
  ])
    mkdirSync(inRoot(path), { recursive: true })
  for (const path of ['var/lib/dpkg/status', 'var/lib/dpkg/available']) writeFileSync(inRoot(path), '')
  writeFileSync(inRoot('etc/group'), 'root:x:0:\n')
}

/** The package without the programs of 100 MB: what the scripts do does not depend on them. */
async function buildSlim(): Promise<void> {
  const output = join(folder, 'full')
  const program = [process.execPath, 'scripts/package.mjs', '--fast', '--version', VERSIONS[0], '--output', output]
  await run(MACHINE, program, { timeoutMs: 120_000 })
  const unpacked = join(folder, 'unpacked')
  await run(MACHINE, ['dpkg-deb', '--raw-extract', join(output, String(readdirSync(output)[0])), unpacked])
  for (const name of ['node', 'etcd']) writeFileSync(join(unpacked, 'usr/lib/margay', name), '')
  const control = join(unpacked, 'DEBIAN/control')
  for (const version of VERSIONS) {
    writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`))
    await run(MACHINE, ['dpkg-deb', '--root-owner-group', '-Znone', '--build', unpacked, fileOf(version)])
  }
}

function fileOf(version: string): string {
  return join(folder, `margay_${version}.deb`)
}

test.before(async () => {
  mkdirSync(folder)
  await buildSlim()
})

test.before.each(emptyRoot)

test.after(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function install(version: string): Promise<void> {
  await mustDpkg('--install', fileOf(version))
}

async function enable(): Promise<void> {
  await run(MACHINE, ['systemctl', '--quiet', `--root=${root}`, 'enable', 'margayd.service'])
}

const LINKS = [
  'multi-user.target.wants/margayd.service',
  'multi-user.target.wants/margay-etcd.service',
  'sysinit.target.wants/margay-boot.service',
]

/** Of each unit. A link leads out of the root to where nothing is. */
function hasLinks(): readonly boolean[] {
  return LINKS.map((path) => lstatSync(inRoot(join('etc/systemd/system', path)), { throwIfNoEntry: false })?.isSymbolicLink() === true)
}

test('installing makes the group, starts and enables nothing and writes no configuration', async () => {
  await install('1.0.0')
  assert.match(readFileSync(inRoot('etc/group'), 'utf8'), /^margay:x:\d+:$/m)
  assert.equal(readdirSync(inRoot('etc/margay')), [])
  assert.equal(hasLinks(), [false, false, false])
  assert.not.ok(existsSync(inRoot('var/lib/margay')))
})

test('what an administrator enabled and configured is kept over an upgrade', async () => {
  await install('1.0.0')
  await enable()
  assert.equal(hasLinks(), [true, true, true], 'etcd and the rules for the boot come with it: they must not depend on the daemon')
  writeFileSync(inRoot('etc/margay/config.json'), '{}')
  writeFileSync(inRoot('etc/iproute2/rt_protos.d/margay.conf'), '77 mine\n')
  await install('1.0.1')
  assert.is(await state(), 'installed 1.0.1')
  assert.equal(hasLinks(), [true, true, true])
  assert.is(readFileSync(inRoot('etc/margay/config.json'), 'utf8'), '{}')
  assert.is(readFileSync(inRoot('etc/iproute2/rt_protos.d/margay.conf'), 'utf8'), '77 mine\n')
  await run(MACHINE, ['systemctl', '--quiet', `--root=${root}`, 'disable', 'margayd.service'])
  await install('1.0.0')
  assert.equal(hasLinks(), [false, false, false], 'nor does one turn on what was turned off')
})

test('removal leaves configuration and state, and a program that cleans up when margay is gone', async () => {
  await install('1.0.0')
  await enable()
  writeFileSync(inRoot('etc/margay/config.json'), '{}')
  mkdirSync(inRoot('var/lib/margay/etcd/member'), { recursive: true })
  const { stdout, stderr } = await dpkg('--remove', 'margay')
  assert.match(stdout + stderr, 'holds the etcd of this network; apt-get purge deletes it')
  assert.is(await state(), 'config-files 1.0.0')
  const program = inRoot('var/lib/margay/cleanup.sh')
  assert.is(statSync(program).mode & 0o777, 0o700)
  assert.match(readFileSync(program, 'utf8'), /^run='\/run\/margay'\nstate='\/var\/lib\/margay'$/m)
  await run(MACHINE, ['sh', '-n', program])
  assert.ok(existsSync(inRoot('etc/margay/config.json')))
  assert.not.ok(existsSync(inRoot('usr/lib/margay')))

  await install('1.0.1')
  assert.not.ok(existsSync(program), 'here again, it is the daemon that cleans up')
  assert.equal(hasLinks(), [true, true, true])
})

for (const isRemovedFirst of [true, false]) {
  test(`a purge ${isRemovedFirst ? 'after a removal' : 'at once'} leaves nothing but files that others put there`, async () => {
    const before = contents()
    await install('1.0.0')
    await enable()
    for (const name of ['config.json', 'server.key']) writeFileSync(inRoot(`etc/margay/${name}`), '')
    mkdirSync(inRoot('var/lib/margay/netns'), { recursive: true })
    writeFileSync(inRoot('var/lib/margay/view.jsonl'), '')
    if (isRemovedFirst) await mustDpkg('--remove', 'margay')
    await mustDpkg('--purge', 'margay')
    const left = contents().filter((path) => !before.includes(path))
    assert.equal(left, ['etc/margay', 'etc/margay/server.key'])
    assert.is(readFileSync(inRoot('etc/group'), 'utf8'), 'root:x:0:\n')
    assert.is(await state(), '')
  })
}

test('an upgrade that was interrupted after unpacking is finished by dpkg --configure', async () => {
  await install('1.0.0')
  await enable()
  await mustDpkg('--unpack', fileOf('1.0.1'))
  assert.is(await state(), 'unpacked 1.0.1')
  await mustDpkg('--configure', '--pending')
  assert.is(await state(), 'installed 1.0.1')
  assert.equal(hasLinks(), [true, true, true])
})

test('where nothing can be written a removal is refused and margay stays as it was', async () => {
  await install('1.0.0')
  await enable()
  rmSync(inRoot('run'), { recursive: true })
  for (const path of ['run', 'var/lib/margay']) writeFileSync(inRoot(path), '')
  const { code, stderr } = await dpkg('--remove', 'margay')
  assert.is(code, 1)
  assert.match(stderr, 'cleanup.sh could not be written to /var/lib/margay nor to /run: is the disk full?')
  assert.is(await state(), 'installed 1.0.0')
  assert.equal(hasLinks(), [true, true, true])
})

test('where the disk is full the clean-up goes to /run, and a purge finds it there', async () => {
  await install('1.0.0')
  writeFileSync(inRoot('var/lib/margay'), '')
  await mustDpkg('--remove', 'margay')
  assert.ok(existsSync(inRoot('run/margay-cleanup.sh')))
  const { code, stderr } = await dpkg('--purge', 'margay')
  assert.is(code, 0, stderr)
  assert.not.match(stderr, 'margay:')
  assert.not.ok(existsSync(inRoot('run/margay-cleanup.sh')))
})

/** With which words dpkg may call each script, beside those that the tests above pass through (Policy 6.5). */
const CALLS = {
  postinst: ['configure', 'configure 0.9.0', 'abort-upgrade 1.0.1', 'abort-remove', 'abort-deconfigure in-favour x 1'],
  prerm: ['upgrade 1.0.1', 'failed-upgrade 0.9.0', 'deconfigure in-favour x 1'],
  postrm: ['upgrade 1.0.1', 'failed-upgrade 0.9.0', 'abort-install', 'abort-upgrade 0.9.0', 'disappear x 1', 'remove'],
}

for (const [script, calls] of Object.entries(CALLS)) {
  test(`${script} does whatever dpkg asks for any number of times, and refuses what it does not know`, async () => {
    await install('1.0.0')
    await enable()
    // Which links a unit once had is d-s-h's to note for the purge.
    const isNote = (path: string) => path.startsWith('var/lib/systemd/deb-systemd-helper-enabled/')
    const before = contents().filter((path) => !isNote(path))
    const call = (words: string) =>
      tryRun(MACHINE, ['sh', inRoot(`var/lib/dpkg/info/margay.${script}`), ...words.split(' ')], {
        env: { DPKG_ROOT: root, DPKG_MAINTSCRIPT_PACKAGE: 'margay', DPKG_MAINTSCRIPT_NAME: script },
      })
    for (const words of [...calls, ...calls]) {
      const { code, stderr } = await call(words)
      assert.is(`${code}${stderr}`, '0', words)
    }
    assert.equal(
      contents().filter((path) => !isNote(path)),
      before,
    )
    assert.equal(hasLinks(), [true, true, true])
    const unknown = await call('frobnicate')
    assert.equal([unknown.code, unknown.stderr], [1, `${script} called with unknown argument 'frobnicate'\n`])
  })
}

test('sh reads the scripts without a fault', async () => {
  for (const name of ['debian/postinst', 'debian/prerm', 'debian/postrm', 'cleanup.sh']) {
    const { code, stderr } = await tryRun(MACHINE, ['sh', '-n', join('packaging', name)])
    assert.is(`${code}${stderr}`, '0', name)
  }
})

test.run()
