// The root of the lab's machines: a Debian 12 as a bare host has it, with what margay's package depends on and without Node.
// Made once by debootstrap and kept under .cache/ by the names of its packages; machines lay a layer of their own over it.
// As a program it prints the root's folder, and on standard error what it does; with names of packages, the folder of a layer over the
// root that has these too, on a second line.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePackages } from './setup.mjs'
import { CACHE, ENV, fail, run, withLock } from './step.mjs'

const SUITE = 'bookworm'

/** Beside Debian's `minbase`: an init system, what margay's package depends on and its documentation calls, and what tests look with. */
const PACKAGES = [
  'dbus',
  'iproute2',
  'iputils-ping',
  'netbase',
  'nftables',
  'openssl',
  'procps',
  'systemd',
  'systemd-container',
  'systemd-sysv',
]

/** What debootstrap needs on this machine; the keys are part of Debian's own images and of no other's. */
const TOOLS = ['debian-archive-keyring', 'debootstrap']

/** Part of the name under which the root is kept: to be counted up when this file makes another one of the same packages. */
const RECIPE = 1

/** Part of the name under which a layer is kept, as above. */
const LAYER_RECIPE = 1

/** Gives the folder of the root, and makes it first where it is not there (60 to 90 s, 100 MB from Debian's mirror). */
export async function debianRoot(say) {
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE, SUITE, PACKAGES]))
    .digest('hex')
    .slice(0, 12)
  const root = join(CACHE, `debian-root-${key}`)
  return withLock('debian-root', async () => {
    if (existsSync(root)) return root
    for (const old of readdirSync(CACHE).filter((name) => /^debian-(root|layer)-/.test(name))) {
      rmSync(join(CACHE, old), { recursive: true, force: true })
    }
    await ensurePackages(TOOLS, say)
    const mirror = mirrorOfMachine()
    say(`making the root of the lab's machines, Debian 12 from ${mirror ?? "debootstrap's own mirror"}`)
    await makeRoot(root, mirror)
    return root
  })
}

/** The mirror that DEBIAN_MIRROR names, else the one that this machine's apt takes the suite from; undefined where it has none. */
function mirrorOfMachine() {
  if (process.env.DEBIAN_MIRROR) return process.env.DEBIAN_MIRROR
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'], {
    env: ENV,
    encoding: 'utf8',
  })
  return new RegExp(`^${SUITE} (\\S+)$`, 'm').exec(stdout ?? '')?.[1]
}

/** In memory first: dpkg waits for the disk after each file. Then one copy and one rename, so that half a root is never used. */
async function makeRoot(root, mirror) {
  const draft = join(tmpdir(), `mgt-${process.pid}-root`)
  mkdirSync(draft)
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2G,mode=755', 'tmpfs', draft])
    const options = ['--variant=minbase', `--include=${PACKAGES.join(',')}`]
    await run('debootstrap', [...options, SUITE, draft, ...(mirror ? [mirror] : [])], {
      env: { ...ENV, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    })
    // Debian leaves it off, and a machine without it has no network; the lab gives each machine a file for it.
    await run('chroot', [draft, 'systemctl', 'enable', 'systemd-networkd.service', 'systemd-networkd-wait-online.service'])
    strip(draft)
    const half = `${root}.half`
    rmSync(half, { recursive: true, force: true })
    await run('cp', ['-a', draft, half])
    renameSync(half, root)
  } finally {
    spawnSync('umount', ['--lazy', draft], { env: ENV })
    rmSync(draft, { recursive: true, force: true })
  }
}

/**
 * Gives the folder of a layer over the root with more of Debian's packages, and makes it first where it is not there. None of their
 * services is enabled: a test starts what it needs.
 */
export async function debianLayer(root, packages, say) {
  const key = createHash('sha256')
    .update(JSON.stringify([root, LAYER_RECIPE, packages]))
    .digest('hex')
    .slice(0, 12)
  const layer = join(CACHE, `debian-layer-${key}`)
  return withLock('debian-root', async () => {
    if (existsSync(layer)) return layer
    say(`adding to the root of the lab's machines: ${packages.join(' ')}`)
    const draft = join(tmpdir(), `mgt-${process.pid}-layer`)
    mkdirSync(draft)
    try {
      await run('mount', ['-t', 'tmpfs', '-o', 'size=2G,mode=755', 'tmpfs', draft])
      const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => join(draft, name))
      for (const folder of [upper, work, merged]) mkdirSync(folder)
      await run('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${root},upperdir=${upper},workdir=${work}`, merged])
      await addPackages(merged, packages)
      const units = 'etc/systemd/system'
      for (const path of readdirSync(join(upper, units), { recursive: true })) {
        if (/\.(wants|requires)\//.test(path)) rmSync(join(merged, units, path))
      }
      await run('umount', [merged])
      const half = `${layer}.half`
      rmSync(half, { recursive: true, force: true })
      await run('cp', ['-a', upper, half])
      renameSync(half, layer)
      return layer
    } finally {
      for (const mount of [join(draft, 'merged'), draft]) spawnSync('umount', ['--lazy', mount], { env: ENV })
      rmSync(draft, { recursive: true, force: true })
    }
  })
}

/** With this machine's network and names. What would start a service is told not to. */
async function addPackages(root, packages) {
  const env = { ...ENV, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' }
  const denial = join(root, 'usr/sbin/policy-rc.d')
  copyFileSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'))
  writeFileSync(denial, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  await run('chroot', [root, 'apt-get', 'update'], { env })
  await run('chroot', [root, 'apt-get', 'install', '--yes', '--no-install-recommends', ...packages], { env })
  rmSync(denial)
  strip(root)
}

/** What belongs to the machine that made it, and archives that nobody needs again. */
function strip(root) {
  for (const path of ['var/cache/apt', 'var/lib/apt/lists', 'etc/resolv.conf', 'etc/hostname', 'var/log/bootstrap.log']) {
    rmSync(join(root, path), { recursive: true, force: true })
  }
  mkdirSync(join(root, 'var/cache/apt/archives/partial'), { recursive: true })
  mkdirSync(join(root, 'var/lib/apt/lists/partial'), { recursive: true })
  writeFileSync(join(root, 'etc/machine-id'), '')
}

if (process.argv[1] === import.meta.filename) {
  const say = (text) => process.stderr.write(`${text}\n`)
  const packages = process.argv.slice(2)
  const root = await debianRoot(say).catch((error) => fail(error.message))
  process.stdout.write(`${root}\n`)
  if (packages.length > 0) process.stdout.write(`${await debianLayer(root, packages, say).catch((error) => fail(error.message))}\n`)
}
