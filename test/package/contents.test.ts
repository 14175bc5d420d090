// at most 300 s
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run, tryRun } from '../../scripts/lab/command.ts'
import { IS_LONG } from '../support/fault.ts'

const test = suite('package/contents')

const folder = join(tmpdir(), `mgt-${process.pid}-package`)
const unpacked = join(folder, 'unpacked')
const VERSION = '9.8.7-rc.1'
let deb = ''

/** Builds the package without compression, by the program that people call. */
async function build(name: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const output = join(folder, name)
  const command = `umask ${env['TEST_UMASK'] ?? '022'}; exec "$@"`
  const program = [process.execPath, 'scripts/package.mjs', '--fast', '--version', VERSION, '--output', output]
  await run(MACHINE, ['sh', '-c', command, 'sh', ...program], { timeoutMs: 120_000, env })
  const [file = 'none'] = readdirSync(output)
  return join(output, file)
}

test.before(async () => {
  mkdirSync(folder)
  deb = await build('first')
  await run(MACHINE, ['dpkg-deb', '--raw-extract', deb, unpacked])
})

test.after(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** What is in the package, as a person expects it: mode, owner and path; sizes and times are left out. */
const CONTENTS = `
drwxr-xr-x root/root ./
drwxr-xr-x root/root ./etc/
drwxr-xr-x root/root ./etc/iproute2/
drwxr-xr-x root/root ./etc/iproute2/rt_protos.d/
-rw-r--r-- root/root ./etc/iproute2/rt_protos.d/margay.conf
drwxr-xr-x root/root ./etc/margay/
drwxr-xr-x root/root ./usr/
drwxr-xr-x root/root ./usr/bin/
lrwxrwxrwx root/root ./usr/bin/margay -> ../lib/margay/margay.js
drwxr-xr-x root/root ./usr/lib/
drwxr-xr-x root/root ./usr/lib/NetworkManager/
drwxr-xr-x root/root ./usr/lib/NetworkManager/conf.d/
-rw-r--r-- root/root ./usr/lib/NetworkManager/conf.d/margay.conf
drwxr-xr-x root/root ./usr/lib/margay/
-rwxr-xr-x root/root ./usr/lib/margay/cleanup.sh
-rwxr-xr-x root/root ./usr/lib/margay/etcd
-rwxr-xr-x root/root ./usr/lib/margay/margay.js
-rwxr-xr-x root/root ./usr/lib/margay/margayd.js
drwxr-xr-x root/root ./usr/lib/margay/native/
drwxr-xr-x root/root ./usr/lib/margay/native/build/
-rw-r--r-- root/root ./usr/lib/margay/native/build/linux-${process.arch}.node
-rwxr-xr-x root/root ./usr/lib/margay/node
-rw-r--r-- root/root ./usr/lib/margay/package.json
drwxr-xr-x root/root ./usr/lib/modules-load.d/
-rw-r--r-- root/root ./usr/lib/modules-load.d/margay.conf
drwxr-xr-x root/root ./usr/lib/sysctl.d/
-rw-r--r-- root/root ./usr/lib/sysctl.d/zz-margay.conf
drwxr-xr-x root/root ./usr/lib/systemd/
drwxr-xr-x root/root ./usr/lib/systemd/network/
-rw-r--r-- root/root ./usr/lib/systemd/network/10-margay.link
drwxr-xr-x root/root ./usr/lib/systemd/networkd.conf.d/
-rw-r--r-- root/root ./usr/lib/systemd/networkd.conf.d/margay.conf
drwxr-xr-x root/root ./usr/lib/systemd/system/
-rw-r--r-- root/root ./usr/lib/systemd/system/margay-boot.service
-rw-r--r-- root/root ./usr/lib/systemd/system/margay-etcd.service
-rw-r--r-- root/root ./usr/lib/systemd/system/margayd.service
drwxr-xr-x root/root ./usr/lib/sysusers.d/
-rw-r--r-- root/root ./usr/lib/sysusers.d/margay.conf
drwxr-xr-x root/root ./usr/lib/tmpfiles.d/
-rw-r--r-- root/root ./usr/lib/tmpfiles.d/margay.conf
drwxr-xr-x root/root ./usr/sbin/
lrwxrwxrwx root/root ./usr/sbin/margayd -> ../lib/margay/margayd.js
drwxr-xr-x root/root ./usr/share/
drwxr-xr-x root/root ./usr/share/doc/
drwxr-xr-x root/root ./usr/share/doc/margay/
-rw-r--r-- root/root ./usr/share/doc/margay/LICENSE.node.gz
-rw-r--r-- root/root ./usr/share/doc/margay/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/margay/copyright
drwxr-xr-x root/root ./usr/share/doc/margay/examples/
-rw-r--r-- root/root ./usr/share/doc/margay/examples/config.example.json
drwxr-xr-x root/root ./usr/share/lintian/
drwxr-xr-x root/root ./usr/share/lintian/overrides/
-rw-r--r-- root/root ./usr/share/lintian/overrides/margay
drwxr-xr-x root/root ./usr/share/man/
drwxr-xr-x root/root ./usr/share/man/man1/
-rw-r--r-- root/root ./usr/share/man/man1/margay.1.gz
drwxr-xr-x root/root ./usr/share/man/man5/
-rw-r--r-- root/root ./usr/share/man/man5/margay.conf.5.gz
drwxr-xr-x root/root ./usr/share/man/man8/
-rw-r--r-- root/root ./usr/share/man/man8/margayd.8.gz
`

/** What has a part for each kind or command: looked at by itself. */
const MANY = /\/(bash-completion|zsh|share\/margay)\//

test('the package holds what a host needs, owned by root, and nothing else', async () => {
  const lines = (await run(MACHINE, ['dpkg-deb', '--contents', deb])).trim().split('\n')
  const found = lines.map((line) => line.replace(/ +\d+ \d{4}-\d\d-\d\d \d\d:\d\d /, ' ')).filter((line) => !MANY.test(line))
  assert.equal(found.sort(), CONTENTS.trim().split('\n').sort())
})

test('editors find the schema of each kind where the docs say', () => {
  const folder = join(unpacked, 'usr/share/margay/schemas')
  assert.equal(readdirSync(folder).sort(), readdirSync('schemas').sort())
  for (const name of readdirSync('schemas'))
    assert.is(readFileSync(join(folder, name), 'utf8'), readFileSync(join('schemas', name), 'utf8'))
})

test('the same commit gives the same bytes, whoever builds it', async () => {
  const again = await build('second', { TEST_UMASK: '077', TZ: 'Pacific/Auckland', LC_ALL: 'C', HOME: '/nonexistent' })
  const sumOf = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')
  assert.is(sumOf(again), sumOf(deb))
})

test('all files carry the time of the commit or the one that was asked for', async () => {
  const early = await build('early', { SOURCE_DATE_EPOCH: '1000000000' })
  const lines = (await run(MACHINE, ['dpkg-deb', '--contents', early], { env: { TZ: 'UTC' } })).trim().split('\n')
  assert.equal(
    lines.filter((line) => !line.includes(' 2001-09-09 01:46 ')),
    [],
  )
})

test('dpkg is told what the package is, what it needs and which files are configuration', () => {
  const control = readFileSync(join(unpacked, 'DEBIAN/control'), 'utf8')
  const fields = Object.fromEntries([...control.matchAll(/^([A-Z][A-Za-z-]+): (.+)$/gm)].map(([, name, value]) => [name, value]))
  assert.is(fields['Package'], 'margay')
  assert.is(fields['Version'], '9.8.7~rc.1', 'a candidate is older than the version')
  assert.is(fields['Architecture'], { x64: 'amd64', arm64: 'arm64' }[process.arch as string])
  const depends = fields['Depends']?.split(', ') ?? []
  assert.equal(
    depends.map((name: string) => name.split(' ')[0]),
    ['libc6', 'libgcc-s1', 'libstdc++6', 'iproute2', 'nftables', 'systemd'],
  )
  const [, glibc = ''] = /libc6 \(>= 2\.(\d+)\)/.exec(fields['Depends'] ?? '') ?? []
  assert.ok(Number(glibc) >= 28 && Number(glibc) <= 36, `Debian 12 has glibc 2.36, the package asks for 2.${glibc}`)
  // An etcd or a Node of the distribution would be started, or be another version.
  assert.not.match(control, /^(Depends|Recommends):.*(etcd|nodejs)/m)
  assert.is(readFileSync(join(unpacked, 'DEBIAN/conffiles'), 'utf8'), '/etc/iproute2/rt_protos.d/margay.conf\n')
  assert.match(control, /\n \.\n/, 'the description has paragraphs')
})

test('the sums are those of the files', async () => {
  const { code, stdout } = await tryRun({ enter: ['env', '-C', unpacked] }, ['md5sum', '--check', '--quiet', 'DEBIAN/md5sums'])
  assert.is(code, 0, stdout)
  const sums = readFileSync(join(unpacked, 'DEBIAN/md5sums'), 'utf8').trim().split('\n')
  assert.ok(sums.length > 20 && !sums.some((line) => line.includes(' etc/') || line.includes('DEBIAN')), 'of all but configuration')
})

test('the programs run with the package alone', async () => {
  // No PATH and another folder: what they find they find in the package.
  const bare = { enter: ['env', '-i', '-C', '/', `LD_BIND_NOW=1`] }
  const node = join(unpacked, 'usr/lib/margay/node')
  assert.match(await run(bare, [node, '--version']), /^v(2\d|[3-9]\d)\./)
  for (const [program, args, want] of [
    ['usr/bin/margay', ['version', '--client'], VERSION],
    ['usr/sbin/margayd', ['--version'], `margayd ${VERSION}\n`],
  ] as const) {
    assert.ok(
      existsSync(join(unpacked, program)) &&
        readFileSync(join(unpacked, program), 'utf8').startsWith('#!/usr/lib/margay/node --max-semi-space-size=2\n'),
      program,
    )
    const { stdout, stderr, code } = await tryRun(bare, [node, join(unpacked, program), ...args])
    assert.ok(code === 0 && stdout.includes(want), `${program}: ${code} ${stdout}${stderr}`)
  }
  const addOn = join(unpacked, `usr/lib/margay/native/build/linux-${process.arch}.node`)
  assert.is(await run(bare, [node, '--print', `typeof require(${JSON.stringify(addOn)}).setns`]), 'function\n')
  assert.match(await run(bare, [join(unpacked, 'usr/lib/margay/etcd'), '--version']), /^etcd Version: 3\./)
})

/** Settings of systemd.exec(5) with which a unit gets a mount namespace of its own. */
const MOUNT_NAMESPACE =
  /^(Bind(ReadOnly)?Paths|ExecPaths|InaccessiblePaths|MountAPIVFS|MountImages|NoExecPaths|Private(Devices|IPC|Mounts|Network|Tmp|Users)|ProcSubset|Protect(ControlGroups|Home|KernelLogs|KernelModules|KernelTunables|Proc|System)|Read(Only|Write)Paths|Root(Directory|Image)|RuntimeDirectory|TemporaryFileSystem)=/m

test('the daemon shares the mounts of the host, on which the pins of network namespaces are, and is confined in all other ways', async () => {
  const unit = join(unpacked, 'usr/lib/systemd/system/margayd.service')
  assert.not.match(readFileSync(unit, 'utf8'), MOUNT_NAMESPACE)
  if ((await tryRun(MACHINE, ['which', 'systemd-analyze'])).code !== 0) return console.log('skipped: systemd-analyze is not here')
  for (const [name, exposure] of [
    ['margayd', 5.0],
    ['margay-etcd', 3.0],
    ['margay-boot', 3.0],
  ] as const) {
    const file = join(unpacked, `usr/lib/systemd/system/${name}.service`)
    const args = ['--no-pager', '--offline=true', `--threshold=${exposure * 10}`]
    const { code, stdout } = await tryRun(MACHINE, ['systemd-analyze', 'security', ...args, file])
    assert.is(code, 0, stdout.split('\n').at(-2))
  }
})

test('what the units start is in the package', () => {
  for (const name of ['margayd', 'margay-etcd']) {
    const text = readFileSync(join(unpacked, `usr/lib/systemd/system/${name}.service`), 'utf8')
    const ours = [...text.matchAll(/^Exec\w+=.*$/gm)].flatMap(([line]) => line.match(/\/usr\/lib\/\S+/g) ?? [])
    assert.ok(ours.length > 0, name)
    for (const path of ours) assert.ok(existsSync(join(unpacked, path)), `${name}.service starts ${path}`)
  }
})

test('systemd finds nothing to complain about in the units', async () => {
  if ((await tryRun(MACHINE, ['which', 'systemd-analyze'])).code !== 0) return console.log('skipped: systemd-analyze is not here')
  const units = join(folder, 'units')
  mkdirSync(units)
  const files = ['margayd', 'margay-etcd', 'margay-boot'].map((name) => {
    const text = readFileSync(join(unpacked, `usr/lib/systemd/system/${name}.service`), 'utf8')
    const file = join(units, `${name}.service`)
    // The programs are where the package was unpacked.
    writeFileSync(file, text.replaceAll('/usr/lib/margay/', join(unpacked, 'usr/lib/margay/')))
    return file
  })
  const { code, stdout, stderr } = await tryRun(MACHINE, ['systemd-analyze', 'verify', '--man=no', '--recursive-errors=no', ...files])
  assert.is(`${code}${stdout}${stderr}`, '0')
})

test('the pages of the manual and the texts are there whole, compressed without a time', () => {
  const share = join(unpacked, 'usr/share')
  for (const [file, begin] of [
    ['man/man1/margay.1.gz', '.TH MARGAY 1'],
    ['man/man8/margayd.8.gz', '.TH MARGAYD 8'],
    ['man/man5/margay.conf.5.gz', '.TH MARGAY.CONF 5'],
    ['doc/margay/changelog.gz', 'margay (9.8.7~rc.1) unstable; urgency=medium\n\n  * '],
  ] as const) {
    const bytes = readFileSync(join(share, file))
    assert.is(bytes.readUInt32LE(4), 0, `${file} carries the time at which it was compressed`)
    assert.ok(gunzipSync(bytes).toString().startsWith(begin), file)
  }
})

test('whose software is in it stands in its copyright file', () => {
  const text = readFileSync(join(unpacked, 'usr/share/doc/margay/copyright'), 'utf8')
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Readonly<Record<string, string>> }
  for (const [name, version] of Object.entries(dependencies)) {
    assert.match(text, `${name} ${version} (npm)`)
  }
  assert.match(text, 'etcd-server')
  assert.match(text, 'Node.js')
  assert.match(gunzipSync(readFileSync(join(unpacked, 'usr/share/doc/margay/LICENSE.node.gz'))).toString(), /Node\.js/)
})

// Takes longer than all the rest, and is not on every machine.
const testLintian = IS_LONG && existsSync('/usr/bin/lintian') ? test : test.skip
if (testLintian !== test) console.log('skipped: lintian runs with --long, where it is installed')

testLintian('lintian finds no error that is not overridden with a reason', async () => {
  // Only this build for the test has no compression.
  const args = ['--fail-on', 'error', '--suppress-tags', 'uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball']
  const { code, stdout } = await tryRun(MACHINE, ['lintian', '--allow-root', ...args, deb], { timeoutMs: 240_000 })
  assert.is(`${code}${stdout}`, '0')
  const overrides = readFileSync(join(unpacked, 'usr/share/lintian/overrides/margay'), 'utf8')
  assert.ok(overrides.startsWith('# '), 'each group of overrides begins with its reason')
})

test.run()
