// Takes away what a killed test, lab or bench left behind. Nothing needs to be written down for it: network namespaces,
// control groups and folders carry the id of the process that made them in their name, `mgt-<pid>-…`.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const NETNS = '/run/netns'
const CGROUPS = '/sys/fs/cgroup'
const PATH = '/usr/sbin:/sbin:/usr/bin:/bin'
// systemd-nspawn makes a folder in the last of these for each machine, and leaves it where /run is no file system of its own.
const FOLDERS = [tmpdir(), '/dev/shm', '/run/systemd/nspawn/propagate']
const NAME = /^mgt-(\d+)-/
const DEADLINE_MS = 3000

/** Removes the namespaces, control groups and folders of processes that are gone, with whatever runs in them; gives their names. */
export async function sweepDead() {
  return sweep((pid) => !isAlive(pid))
}

/** Removes the namespaces, control groups and folders whose name begins so (`mgt-<pid>-…`), with whatever runs in them; gives their names. */
export async function sweepPrefix(prefix) {
  return sweep((_pid, name) => name.startsWith(prefix))
}

async function sweep(isWanted) {
  const wanted = (folder) =>
    list(folder).filter((name) => {
      const pid = NAME.exec(name)?.[1]
      return pid !== undefined && isWanted(pid, name)
    })
  const namespaces = wanted(NETNS)
  const cgroups = hierarchies().flatMap((folder) => wanted(folder).map((name) => join(folder, name)))
  const folders = FOLDERS.flatMap((folder) => wanted(folder).map((name) => join(folder, name)))
  await killInside(namespaces, cgroups)
  for (const name of namespaces) spawnSync('ip', ['netns', 'del', name], { env: { ...process.env, PATH } })
  for (const path of cgroups) removeCgroup(path)
  for (const path of folders) {
    // A machine of the lab has its root mounted there, over files that are not its own.
    for (const mount of mountsBelow(path)) spawnSync('umount', ['--lazy', mount], { env: { ...process.env, PATH } })
    rmSync(path, { recursive: true, force: true, maxRetries: 3 })
  }
  return [...new Set([...namespaces, ...cgroups.map((path) => basename(path))]), ...folders.map((path) => basename(path))]
}

/** Kills every process in these network namespaces and control groups and waits until the kernel has let them go: they hold mounts and files. */
async function killInside(namespaces, cgroups) {
  const inodes = new Set(namespaces.flatMap((name) => inodeOf(join(NETNS, name))))
  if (inodes.size === 0 && cgroups.length === 0) return
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const grouped = new Set(cgroups.flatMap(pidsBelow))
    const pids = list('/proc').filter(
      (pid) => /^\d+$/.test(pid) && pid !== String(process.pid) && (grouped.has(pid) || inodes.has(namespaceOf(pid))) && isAlive(pid),
    )
    if (pids.length === 0 || performance.now() > deadline) return
    for (const pid of pids) kill(Number(pid))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Where control groups can be: one hierarchy on a new system (cgroup v2), one for each controller beside it on an old one. */
function hierarchies() {
  return [CGROUPS, ...list(CGROUPS).map((name) => join(CGROUPS, name))].filter((path) => existsSync(join(path, 'cgroup.procs')))
}

/** The processes of a control group and of those in it. */
function pidsBelow(path) {
  return groupsBelow(path).flatMap((group) => readOr(join(group, 'cgroup.procs')).split('\n').filter(Boolean))
}

/** A control group goes when those in it have gone. */
function removeCgroup(path) {
  for (const group of groupsBelow(path)) {
    try {
      rmdirSync(group)
    } catch {
      // A process that is not reaped yet holds it; the next sweep takes it.
    }
  }
}

/** A control group after all those in it. */
function groupsBelow(path) {
  const below = existsSync(path) ? readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()) : []
  return [...below.flatMap((entry) => groupsBelow(join(path, entry.name))), path]
}

/** Mount points at and below a path, the last one mounted first (proc(5), /proc/pid/mountinfo). */
function mountsBelow(path) {
  const points = readOr('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return points.filter((point) => point === path || point.startsWith(`${path}/`)).reverse()
}

/** A zombie is dead: a container's first process may reap it much later. */
function isAlive(pid) {
  return /^State:\s+[^ZX]/m.test(readOr(`/proc/${pid}/status`))
}

/** A file's text, empty where it can't be read any more. */
function readOr(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function namespaceOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return ''
  }
}

function inodeOf(path) {
  try {
    return [`net:[${statSync(path).ino}]`]
  } catch {
    return []
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone between the look and the kill.
  }
}

function list(folder) {
  return existsSync(folder) ? readdirSync(folder) : []
}

if (process.argv[1] === import.meta.filename) {
  for (const name of await sweepDead()) process.stdout.write(`swept ${name}\n`)
}
