// Takes away what a killed test, lab or bench left behind. Nothing needs to be written down for it: network namespaces
// and folders carry the id of the process that made them in their name, `mgt-<pid>-…`.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const NETNS = '/run/netns'
const FOLDERS = [tmpdir(), '/dev/shm']
const NAME = /^mgt-(\d+)-/
const DEADLINE_MS = 3000

/** Removes the namespaces and folders of processes that are gone, with whatever runs in them; gives their names. */
export async function sweepDead() {
  return sweep((pid) => !isAlive(pid))
}

/** Removes the namespaces and folders whose name begins so (`mgt-<pid>-…`), with whatever runs in them; gives their names. */
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
  const folders = FOLDERS.flatMap((folder) => wanted(folder).map((name) => join(folder, name)))
  await killInside(namespaces)
  for (const name of namespaces) spawnSync('ip', ['netns', 'del', name], { env: { ...process.env, PATH: '/usr/sbin:/sbin:/usr/bin:/bin' } })
  for (const path of folders) rmSync(path, { recursive: true, force: true, maxRetries: 3 })
  return [...namespaces, ...folders.map((path) => basename(path))]
}

/** Kills every process in these network namespaces and waits until the kernel has let them go: they hold mounts and files. */
async function killInside(namespaces) {
  const inodes = new Set(namespaces.flatMap((name) => inodeOf(join(NETNS, name))))
  if (inodes.size === 0) return
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const pids = list('/proc').filter(
      (pid) => /^\d+$/.test(pid) && pid !== String(process.pid) && inodes.has(namespaceOf(pid)) && isAlive(pid),
    )
    if (pids.length === 0 || performance.now() > deadline) return
    for (const pid of pids) kill(Number(pid))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A zombie is dead: a container's first process may reap it much later. */
function isAlive(pid) {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
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
