import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A process, as a person would look for it. */
export interface SocketOwner {
  readonly pid: number
  readonly command: string
}

/** The process that has the socket with this inode open; undefined where none can be seen. Walks over all processes: only for errors. */
export function findSocketOwner(inode: number): SocketOwner | undefined {
  const wanted = `socket:[${inode}]`
  for (const pid of listOf('/proc').filter((name) => /^\d+$/.test(name))) {
    if (!listOf(`/proc/${pid}/fd`).some((fd) => targetOf(`/proc/${pid}/fd/${fd}`) === wanted)) continue
    return { pid: Number(pid), command: readLines(`/proc/${pid}/comm`)[0] ?? '?' }
  }
  return undefined
}

/** The lines of a file under /proc, none where it is not there: no IPv6 in this kernel, or a process that ended. */
export function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

function listOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined
  }
}
