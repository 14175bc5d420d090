// Brings a bare Debian machine with Node to where the demo, the tests and the benches run. Does only what is not done yet.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BUILD_INPUTS, build, isBuilt } from './build.mjs'
import { CACHE, DEBIAN, ENV, fail, hashOf, isStamped, ROOT, readOr, run, stamp, withLock } from './step.mjs'

/** Tools that tests, lab, benches and the native build call. None of these packages starts a service. */
const PACKAGES = [
  'ca-certificates',
  'conntrack',
  'ethtool',
  'gcc',
  'iperf3',
  'iproute2',
  'iputils-ping',
  'libc6-dev',
  'libuv1-dev',
  // /etc/protocols: without it nft shows numbers.
  'netbase',
  'nftables',
  'openssl',
  'procps',
  'tcpdump',
  'util-linux',
]

/** Packages that would start a service on this machine, or that only the lab uses: unpacked, with the files that are taken from them. */
const UNPACKED = {
  // It goes into margay's own package, and its licence with it.
  'etcd-server': ['usr/bin/etcd', 'usr/share/doc/etcd-server/copyright'],
  'etcd-client': ['usr/bin/etcdctl'],
  radvd: ['usr/sbin/radvd'],
}

const OLDEST_NODE = [20, 19]

/**
 * Does all that is missing and says so; a second call takes well under a second and needs no network.
 * `isBuildNeeded: false` goes on when dist/ cannot be built, and gives why.
 */
export async function setUp({ isBuildNeeded = true } = {}) {
  checkMachine()
  const say = (text) => process.stdout.write(`set-up: ${text}\n`)
  return withLock('setup', async () => {
    await ensurePackages(PACKAGES, say)
    await unpackPackages(say)
    await installModules(say)
    await buildNative(say)
    if (isBuildNeeded) return buildDist(say)
    return buildDist(say).catch((error) => error.message)
  })
}

function checkMachine() {
  if (process.platform !== 'linux') fail(`margay needs Linux, this is ${process.platform}`)
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST_NODE
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    fail(`margay needs Node ${OLDEST_NODE.join('.')} or newer, ${process.execPath} is ${process.versions.node}`)
  }
  if (process.getuid() !== 0) fail('this needs root: it installs packages and makes network namespaces; run it again as root')
}

/** Ends with the reason where a lab can't be built: in a container without the right to, or in a chroot whose / is no mount point. */
export async function checkNamespaces() {
  await run('unshare', ['--net', '--mount', 'true']).catch((error) => {
    const reason = error.message.split('\n').at(-1)
    const cure = 'a container must be privileged, the folder of a chroot a mount point (mount --bind DIR DIR, then chroot DIR)'
    fail(`network namespaces with mounts of their own can't be made here (${reason}): ${cure}`)
  })
}

/** Installs those of these Debian packages that are not there. */
export async function ensurePackages(names, say) {
  const missing = await missingPackages(names)
  if (missing.length === 0) return
  if (!existsSync('/usr/bin/apt-get')) fail(`apt-get is not here, install by hand: ${missing.join(' ')}`)
  say(`installing Debian packages ${missing.join(' ')}`)
  await apt(['install', '-y', '--no-install-recommends', ...missing])
}

/** Names without an installed package; asks dpkg's own list once, because that takes 20 ms. */
async function missingPackages(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const list = await run('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n']).catch(() => '')
  const installed = new Set(list.split('\n').flatMap((line) => (line.endsWith(' installed') ? [line.split(' ')[0]] : [])))
  return names.filter((name) => !installed.has(name))
}

async function unpackPackages(say) {
  const missing = Object.entries(UNPACKED).filter(([, files]) => files.some((file) => !existsSync(join(DEBIAN, file))))
  if (missing.length === 0) return
  const names = missing.map(([name]) => name)
  say(`fetching Debian packages ${names.join(' ')} into .cache/debian (unpacked, not installed: no service starts)`)
  mkdirSync(CACHE, { recursive: true })
  const folder = mkdtempSync(join(CACHE, 'fetch-'))
  try {
    await apt(['download', ...names], folder)
    const unpacked = join(folder, 'root')
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) await run('dpkg', ['-x', join(folder, file), unpacked])
    mkdirSync(DEBIAN, { recursive: true })
    for (const file of missing.flatMap(([, files]) => files)) moveInto(unpacked, file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One rename for each file, so that an interrupted set-up never leaves half of one. */
function moveInto(from, file) {
  mkdirSync(dirname(join(DEBIAN, file)), { recursive: true })
  renameSync(join(from, file), join(DEBIAN, file))
}

/** Runs apt-get; when that fails, once more with fresh package lists, because a bare image has none or old ones. */
async function apt(args, cwd = ROOT) {
  const options = ['-o', 'Acquire::Retries=3', '-o', 'APT::Sandbox::User=root', '-o', 'DPkg::Lock::Timeout=120', '-q']
  const env = { ...ENV, DEBIAN_FRONTEND: 'noninteractive' }
  try {
    await run('apt-get', [...options, ...args], { env, cwd })
  } catch {
    process.stdout.write('set-up: reading the Debian package lists\n')
    await run('apt-get', [...options, 'update'], { env, cwd })
    await run('apt-get', [...options, ...args], { env, cwd }).catch((error) => {
      // apt-get says all it tried; what matters are its last words.
      const words = error.message.split('\n').filter((line) => line.startsWith('E: '))
      throw new Error(`apt-get ${args.join(' ')} failed${words.length > 0 ? `: ${words.join(' ')}` : `\n${error.message}`}`)
    })
  }
}

async function installModules(say) {
  if (hasAllModules()) return
  say('installing npm modules (npm ci)')
  await run(process.execPath, [npmPath(), 'ci', '--include=dev', '--no-audit', '--no-fund'])
}

/** Whether what npm says it installed is what package-lock.json asks for; packages for other machines are optional. */
function hasAllModules() {
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages
  const text = readOr(join(ROOT, 'node_modules/.package-lock.json'), '')
  if (text === '') return false
  const have = JSON.parse(text).packages
  const isThere = ([path, entry]) =>
    path === '' || have[path]?.version === entry.version || (entry.optional === true && have[path] === undefined)
  return Object.entries(wanted).every(isThere) && Object.keys(have).every((path) => wanted[path] !== undefined)
}

/** npm's own program, which stands beside Node wherever that was put. */
function npmPath() {
  const beside = join(dirname(dirname(process.execPath)), 'lib/node_modules/npm/bin/npm-cli.js')
  const found = [process.env.npm_execpath ?? '', beside, '/usr/share/nodejs/npm/bin/npm-cli.js'].find(
    (path) => path.endsWith('.js') && existsSync(path),
  )
  return found ?? fail(`npm is not beside ${process.execPath}: install Node with npm`)
}

async function buildNative(say) {
  if (!existsSync(join(ROOT, 'scripts/native.mjs'))) return
  const text = await run(process.execPath, ['scripts/native.mjs'])
  for (const line of text.split('\n').filter((part) => part !== '' && !part.endsWith('is up to date'))) say(line)
}

async function buildDist(say) {
  const inputs = hashOf(BUILD_INPUTS)
  if (isStamped('dist', inputs) && isBuilt()) return
  say('building dist/')
  await build()
  stamp('dist', inputs)
}

if (process.argv[1] === import.meta.filename) {
  const started = performance.now()
  await setUp().catch((error) => fail(`set-up: ${error.message}`))
  process.stdout.write(`set-up: ready (${((performance.now() - started) / 1000).toFixed(1)} s)\n`)
}
