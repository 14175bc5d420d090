import { readdir, readFile, readlink } from 'node:fs/promises'
import { Pace } from '../pace.ts'
import { parseSocket, type Socket } from './proc-net.ts'

const FILES = [
  ['tcp', 6],
  ['tcp6', 6],
  ['udp', 17],
  ['udp6', 17],
] as const

/** The sockets of this network namespace that `isWanted` takes; gives way to the event loop. */
export async function listSockets(isWanted: (socket: Socket) => boolean, signal: AbortSignal): Promise<readonly Socket[]> {
  const found: Socket[] = []
  const pace = new Pace()
  for (const [file, protocol] of FILES) {
    for (const line of (await readText(`/proc/self/net/${file}`)).split('\n')) {
      const socket = parseSocket(line, protocol)
      if (socket !== undefined && isWanted(socket)) found.push(socket)
      if (!pace.isDue) continue
      await pace.giveWay()
      signal.throwIfAborted()
    }
  }
  return found
}

/** A program that has a socket. */
export interface Owner {
  readonly pid: number
  /** As the kernel calls it: 15 characters at most. */
  readonly name: string
}

/**
 * Which programs have these sockets, by inode; of several (a service and the worker that it made) the one that was started last. Only
 * programs that `isWanted` takes are looked into: to look into all takes 100 ms on a busy host, in which others run.
 */
export async function findOwners(
  inodes: ReadonlySet<number>,
  isWanted: (owner: Owner) => boolean,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Owner>> {
  const owners = new Map<number, Owner>()
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    signal.throwIfAborted()
    const owner = { pid: Number(entry), name: (await readText(`/proc/${entry}/comm`)).trim() }
    if (owner.name === '' || !isWanted(owner)) continue
    for (const inode of await socketsOf(owner.pid)) if (inodes.has(inode)) owners.set(inode, owner)
  }
  return owners
}

async function socketsOf(pid: number): Promise<readonly number[]> {
  // A program that has ended meanwhile has none.
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
  return links.flatMap((link) => {
    const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1]
    return inode === undefined ? [] : [Number(inode)]
  })
}

/** Empty where there is none: a kernel without IPv6, a program that has ended. */
async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
