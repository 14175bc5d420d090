// The Node that goes into the package: the one that runs the build, without what only debuggers read, and what it asks of a system.
import { copyFileSync, existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail, run } from './step.mjs'

/** Libraries that every Debian has, and the packages they come in. A Node that is linked with others would not start elsewhere. */
const LIBRARIES = {
  'ld-linux-x86-64.so.2': 'libc6',
  'ld-linux-aarch64.so.1': 'libc6',
  'libc.so.6': 'libc6',
  'libdl.so.2': 'libc6',
  'libm.so.6': 'libc6',
  'libpthread.so.0': 'libc6',
  'libgcc_s.so.1': 'libgcc-s1',
  'libstdc++.so.6': 'libstdc++6',
}

/** Debian 12's: a program that was built on something newer is refused here, not on the host where it is installed. */
const NEWEST_GLIBC = '2.36'

/** The first GCC whose libstdc++ has a version of the symbols (GCC's manual, "ABI Policy and Guidelines"). */
const GCC_OF_GLIBCXX = [
  ['3.4.20', '4.9'],
  ['3.4.21', '5.2'],
  ['3.4.22', '6'],
  ['3.4.24', '7'],
  ['3.4.25', '8'],
  ['3.4.28', '9'],
  ['3.4.29', '11'],
  ['3.4.30', '12'],
]

/** Copies the running Node and strips it; ends with the reason where it could not run on another host or does not run stripped. */
export async function installRuntime(target) {
  const source = realpathSync(process.execPath)
  copyFileSync(source, target)
  await run('strip', ['--strip-all', target])
  const version = (await run(target, ['--version'])).trim()
  if (version !== process.version) fail(`${source} stripped says it is ${version}, not ${process.version}`)
}

/** The text of the licence of the running Node; ends where it is not beside it, because it must go with the copy. */
export function runtimeLicence() {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  // Where nodejs.org's archives and packages have it; the last one is left where an image has no documents.
  const places = ['LICENSE', 'share/doc/nodejs/LICENSE', 'share/doc/node/LICENSE', 'share/doc/nodejs/copyright'].map((path) =>
    join(prefix, path),
  )
  const found = places.find((path) => existsSync(path))
  if (found === undefined) fail(`the licence of ${process.execPath} is at none of ${places.join(', ')}: it must go with the package`)
  return readFileSync(found, 'utf8')
}

/** The Debian packages, with the oldest version that will do, which these programs and libraries ask for; sorted. */
export async function systemDependencies(files) {
  const demands = await Promise.all(files.map(demandsOf))
  const glibc = newest(demands.flatMap((demand) => demand.glibc))
  const glibcxx = newest(demands.flatMap((demand) => demand.glibcxx))
  const packages = new Set(demands.flatMap((demand) => demand.packages))
  return [...packages].sort().map((name) => {
    if (name === 'libc6') return `libc6 (>= ${glibc})`
    return name === 'libstdc++6' ? `libstdc++6 (>= ${gccOf(glibcxx)})` : name
  })
}

/** Which libraries and which versions of their symbols one file asks for. */
async function demandsOf(file) {
  const dynamic = await run('readelf', ['--dynamic', '--wide', file])
  const versions = await run('readelf', ['--version-info', '--wide', file])
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name]) => name)
  const foreign = libraries.filter((name) => !(name in LIBRARIES))
  if (foreign.length > 0) {
    fail(`${file} needs ${foreign.join(', ')}, which a Debian host does not have: build with the Node of nodejs.org or NodeSource`)
  }
  const versionsOf = (name) => [...versions.matchAll(new RegExp(`Name: ${name}_([\\d.]+)`, 'g'))].map(([, version]) => version)
  const glibc = versionsOf('GLIBC')
  const tooNew = glibc.filter((version) => compareVersions(version, NEWEST_GLIBC) > 0)
  if (tooNew.length > 0) fail(`${file} needs glibc ${newest(tooNew)}, Debian 12 has ${NEWEST_GLIBC}: build on Debian 12 or older`)
  return { glibc, glibcxx: versionsOf('GLIBCXX'), packages: libraries.map((name) => LIBRARIES[name]) }
}

function gccOf(glibcxx) {
  const found = GCC_OF_GLIBCXX.find(([version]) => compareVersions(glibcxx, version) <= 0)
  return found?.[1] ?? fail(`GLIBCXX_${glibcxx} is newer than Debian 12's libstdc++: build on Debian 12 or older`)
}

function newest(versions) {
  return [...versions].sort(compareVersions).at(-1) ?? '0'
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let part = 0; part < Math.max(left.length, right.length); part++) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
