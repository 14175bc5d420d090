// What a package holds and where each thing goes. The table is the truth; test/package/contents.test.ts reads the package against its own list.
import { chmodSync, copyFileSync, lutimesSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, bundleHere } from './build.mjs'
import { installRuntime } from './package-runtime.mjs'
import { DEBIAN, ROOT, run } from './step.mjs'

const LIB = 'usr/lib/margay'
const DOC = 'usr/share/doc/margay'

/** Programs by the link under which they are called. */
const LINKS = { 'usr/bin/margay': '../lib/margay/margay.js', 'usr/sbin/margayd': '../lib/margay/margayd.js' }

/** Files that are copied as they are, by where they go. */
const COPIES = {
  [`${LIB}/native/build/linux-${process.arch}.node`]: `native/build/linux-${process.arch}.node`,
  [`${LIB}/cleanup.sh`]: 'packaging/cleanup.sh',
  'usr/lib/systemd/system/margayd.service': 'systemd/margayd.service',
  'usr/lib/systemd/system/margay-etcd.service': 'systemd/margay-etcd.service',
  'usr/lib/systemd/system/margay-boot.service': 'systemd/margay-boot.service',
  'usr/lib/systemd/network/10-margay.link': 'packaging/systemd/network/10-margay.link',
  'usr/lib/systemd/networkd.conf.d/margay.conf': 'packaging/systemd/networkd.conf.d/margay.conf',
  'usr/lib/NetworkManager/conf.d/margay.conf': 'packaging/NetworkManager/conf.d/margay.conf',
  'usr/lib/sysusers.d/margay.conf': 'packaging/sysusers.d/margay.conf',
  'usr/lib/tmpfiles.d/margay.conf': 'packaging/tmpfiles.d/margay.conf',
  'usr/lib/modules-load.d/margay.conf': 'packaging/modules-load.d/margay.conf',
  'usr/lib/sysctl.d/zz-margay.conf': 'packaging/sysctl.d/zz-margay.conf',
  'etc/iproute2/rt_protos.d/margay.conf': 'packaging/iproute2/rt_protos.d/margay.conf',
  [`${DOC}/examples/config.example.json`]: 'config.example.json',
}

/** Files that are run. All others are only read. */
const PROGRAMS = new Set(['node', 'etcd', 'margay.js', 'margayd.js', 'cleanup.sh'].map((name) => `${LIB}/${name}`))

/** Where the manual's sections and each shell's completions go. */
const manPath = (file) => `usr/share/man/man${file.at(-1)}/${file}.gz`
const COMPLETIONS = { bash: 'usr/share/bash-completion/completions/margay', zsh: 'usr/share/zsh/vendor-completions/_margay' }

/**
 * Puts everything but control files and copyright into the folder, and gives the names of the npm packages that are in the bundles.
 * The native add-on and etcd are there already: set-up built the one and unpacked the other.
 */
export async function installFiles(root, version) {
  const modules = await build({ outdir: join(root, LIB), interpreter: '/usr/lib/margay/node', version, sourcemap: false })
  // Without it Node would take the bundles for CommonJS.
  write(root, `${LIB}/package.json`, `${JSON.stringify({ name: 'margay', version, type: 'module' })}\n`)
  await installRuntime(join(root, LIB, 'node'))
  copyInto(root, `${LIB}/etcd`, join(DEBIAN, 'usr/bin/etcd'))
  for (const [target, source] of Object.entries(COPIES)) copyInto(root, target, join(ROOT, source))
  for (const [link, target] of Object.entries(LINKS)) {
    mkdirSync(dirname(join(root, link)), { recursive: true })
    symlinkSync(target, join(root, link))
  }
  mkdirSync(join(root, 'etc/margay'), { recursive: true })
  for (const name of readdirSync(join(ROOT, 'schemas'))) copyInto(root, `usr/share/margay/schemas/${name}`, join(ROOT, 'schemas', name))
  await installManual(root, version)
  await installCompletions(root)
  return modules
}

/** A file of the package, with its folders. */
export function write(root, target, content) {
  mkdirSync(dirname(join(root, target)), { recursive: true })
  writeFileSync(join(root, target), content)
}

/** Compressed text without the time at which it was made. */
export function gzip(text) {
  return gzipSync(text, { level: 9 })
}

/**
 * Gives every file below the folder the mode that its place asks for, and one time, in seconds: the umask and the clock of whoever
 * builds must not show.
 */
export function settleFiles(root, epochS) {
  for (const path of allBelow(root).reverse()) {
    const file = join(root, path)
    if (!(path in LINKS)) chmodSync(file, statSync(file).isDirectory() || PROGRAMS.has(path) ? 0o755 : 0o644)
    lutimesSync(file, epochS, epochS)
  }
  chmodSync(root, 0o755)
  lutimesSync(root, epochS, epochS)
}

/** Paths of all files, links and folders below a folder, sorted; a folder comes before what is in it. */
export function allBelow(root) {
  return readdirSync(root, { recursive: true }).sort()
}

function copyInto(root, target, source) {
  mkdirSync(dirname(join(root, target)), { recursive: true })
  copyFileSync(source, join(root, target))
}

async function installManual(root, version) {
  await bundleHere(['src/cli/man-pages.ts'], `.cache/package/${process.pid}/man`)
  const { makeManPages } = await import(join(ROOT, `.cache/package/${process.pid}/man/src/cli/man-pages.mjs`))
  for (const { file, text } of makeManPages(version)) write(root, manPath(file), gzip(text))
}

/** As the package's own command line writes them: that also proves that bundle and Node go together. */
async function installCompletions(root) {
  const [node, program] = [join(root, LIB, 'node'), join(root, LIB, 'margay.js')]
  const help = await run(node, [program, '--help'])
  if (!/^ +completion\b/m.test(help)) return
  for (const [shell, target] of Object.entries(COMPLETIONS)) write(root, target, await run(node, [program, 'completion', shell]))
}
