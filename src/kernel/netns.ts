import { closeSync, existsSync, fstatSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { KernelError } from '../errors.ts'
import { checked, describeErrno, loadNative } from './native.ts'

const MS_BIND = 0x1000
const MS_REC = 0x4000
const MS_SHARED = 0x10_0000
const MNT_DETACH = 2
const EINVAL = 22
const EPERM = 1

/**
 * Runs synchronous code inside another network namespace, and comes back. Sockets that are made and files under
 * /proc/sys/net and /proc/thread-self/net that are read there belong to that namespace. Only this thread moves; `work`
 * must not be asynchronous, because other code of this thread would run in the wrong namespace.
 */
export function withNetns<T>(netns: string | number, work: () => T): T {
  const native = loadNative()
  const fd = typeof netns === 'number' ? netns : openNetns(netns)
  const home = openSync('/proc/thread-self/ns/net', 'r')
  try {
    checked(native.setns(fd), `enter the network namespace ${netns}`)
    try {
      return work()
    } finally {
      const result = native.setns(home)
      // All that follows would be done to the workload's namespace instead of the host's: nothing is worse.
      if (result < 0) process.abort()
    }
  } finally {
    closeSync(home)
    if (typeof netns !== 'number') closeSync(fd)
  }
}

/**
 * Opens a network namespace by its path. The caller closes the descriptor.
 *
 * @throws {KernelError} that says whether nothing is there, or something else
 */
export function openNetns(file: string): number {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (cause) {
    if (isMissing(cause)) throw new KernelError(`there is no network namespace at ${JSON.stringify(file)}`, { errno: 2, cause })
    throw new KernelError(`could not open the network namespace ${JSON.stringify(file)}`, { cause })
  }
  const kind = loadNative().isNetns(fd)
  if (kind === 1) return fd
  closeSync(fd)
  const what = kind === 0 ? 'is a namespace, but not one of networks' : 'is no network namespace'
  throw new KernelError(`${JSON.stringify(file)} ${what}: a path such as /run/netns/NAME or /proc/PID/ns/net is needed`, { errno: EINVAL })
}

/** Whether a network namespace stands at this path now. */
export function isNetns(file: string): boolean {
  try {
    closeSync(openNetns(file))
    return true
  } catch {
    return false
  }
}

/** Whether two paths name the same network namespace; false where one of them is none. */
export function sameNetns(a: string, b: string): boolean {
  return isNetns(a) && netnsId(a) === netnsId(b)
}

/** What tells network namespaces apart: device and inode of the namespace's file. Undefined where there is none. */
export function netnsId(file: string | number): string | undefined {
  try {
    const { dev, ino } = typeof file === 'number' ? fstatSync(file) : statSync(file)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

/**
 * Bind-mounts a workload's network namespace at `target` (`/run/margay/netns/<endpoint>`), so that it stays reachable
 * while the workload lives and whatever becomes of the path or the process that it was given by. Done already, it does
 * nothing; another or a vanished namespace at `target` is replaced.
 *
 * @param source a path, or the id of a process that is in the namespace
 * @throws {KernelError}
 */
export function pinNetns(source: string | number, target: string): void {
  const from = typeof source === 'number' ? `/proc/${source}/ns/net` : source
  if (typeof source === 'number' && !existsSync(`/proc/${source}`)) throw new KernelError(`there is no process ${source}`, { errno: 3 })
  const fd = openNetns(from)
  try {
    if (isNetns(target) && netnsId(target) === netnsId(fd)) return
    shareFolder(path.dirname(target))
    unpinNetns(target)
    writeFileSync(target, '', { mode: 0o600 })
    checked(loadNative().mount(`/proc/thread-self/fd/${fd}`, target, MS_BIND), `bind-mount the network namespace ${from} at ${target}`)
  } finally {
    closeSync(fd)
  }
}

/** Takes the pin away; the namespace ends when nobody else holds it. Not being there is success. */
export function unpinNetns(target: string): void {
  const native = loadNative()
  // Several mounts may lie on one another after a crash; each is taken off. EINVAL: nothing is mounted there any more.
  for (let layer = 0; layer < 16 && existsSync(target); layer++) {
    const result = native.umount(target, MNT_DETACH)
    if (result === -EINVAL) break
    checked(result, `unmount ${target}`)
  }
  rmSync(target, { force: true })
}

/** Takes the folder of pins away at clean-up: its own mount, and the folder when it is empty. */
export function removePinFolder(folder: string): void {
  if (!existsSync(folder)) return
  loadNative().umount(folder, MNT_DETACH)
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Makes the folder a mount point whose mounts spread to the mount namespaces that were copied from ours, as `ip netns add`
 * does: a workload's manager in its own mount namespace must see an unmount too, else the namespace would live on there.
 */
function shareFolder(folder: string): void {
  const native = loadNative()
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const share = () => native.mount('', folder, MS_SHARED | MS_REC)
  const first = share()
  if (first === -EPERM) throw new KernelError(`could not mount at ${folder}: ${describeErrno(first)} (root is needed)`, { errno: EPERM })
  if (first !== -EINVAL) return void checked(first, `share the mount ${folder}`)
  // EINVAL: it is no mount point yet.
  checked(native.mount(folder, folder, MS_BIND | MS_REC), `make ${folder} a mount point`)
  checked(share(), `share the mount ${folder}`)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH' || error.code === 'ENXIO')
}
