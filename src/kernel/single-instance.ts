import { KernelError } from '../errors.ts'
import { checked, loadNative } from './native.ts'
import { withNetns } from './netns.ts'
import { findSocketOwner, readLines } from './socket-owner.ts'
import { AF_UNIX, SOCK_DGRAM, unixAddress } from './unix-address.ts'

const EADDRINUSE = 98

/** The right to be the only one of its kind in a network namespace. */
export interface Instance {
  release(): void
}

/**
 * Claims to be the only daemon of this network namespace, by binding the abstract unix socket `@NAME`. The kernel takes the
 * claim back when the process ends, also by kill -9, so there is nothing stale to clean up.
 *
 * @throws {KernelError} with EADDRINUSE that names the process which holds it
 */
export function claimInstance(name: string, netns?: string): Instance {
  const native = loadNative()
  const open = () => checked(native.socket(AF_UNIX, SOCK_DGRAM, 0), 'open a unix socket')
  const fd = netns === undefined ? open() : withNetns(netns, open)
  const result = native.bind(fd, unixAddress(`@${name}`))
  if (result === 0) return { release: () => void native.close(fd) }
  native.close(fd)
  if (result !== -EADDRINUSE) checked(result, `bind the socket @${name}`)
  const holder = netns === undefined ? findHolder(name) : withNetns(netns, () => findHolder(name))
  throw new KernelError(`${name.replace(/^.*\//, '')} runs already in this network namespace${holder}`, { errno: EADDRINUSE })
}

function findHolder(name: string): string {
  const row = readLines('/proc/thread-self/net/unix').find((line) => line.endsWith(` @${name}`))
  const inode = Number(row?.trim().split(/\s+/)[6])
  const owner = Number.isInteger(inode) ? findSocketOwner(inode) : undefined
  return owner === undefined ? '' : `: process ${owner.pid} (${owner.command})`
}
