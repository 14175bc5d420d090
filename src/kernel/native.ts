import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { KernelError } from '../errors.ts'

/** The calls of native/margay.c. A negative result is the negative errno. */
export interface Native {
  /** Close-on-exec and non-blocking. */
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Buffer): number
  connect(fd: number, address: Buffer): number
  /** Writes the socket's own address, gives its length. */
  getsockname(fd: number, address: Buffer): number
  send(fd: number, bytes: Buffer, address?: Buffer): number
  /** The length of the whole datagram: more than the buffer's if it was cut. */
  recv(fd: number, buffer: Buffer): number
  setsockopt(fd: number, level: number, option: number, value: number): number
  getsockopt(fd: number, level: number, option: number): number
  close(fd: number): number
  /** Moves the calling thread into the network namespace; see `withNetns`. */
  setns(fd: number): number
  /** 1 if this is a network namespace, 0 for one of another kind, -ENOTTY for any other file. */
  isNetns(fd: number): number
  /** Bind mounts and changes of propagation. */
  mount(source: string, target: string, flags: number): number
  umount(target: string, flags: number): number
  /** Calls back whenever the socket is readable or has an error (it is armed again after one), until `stopPoll`. */
  poll(fd: number, onReadable: () => void): number
  /** To be called before `close`. */
  stopPoll(fd: number): number
}

/** The add-on's version that this code was written for (MARGAY_ABI in native/margay.c). */
const ABI = 1

/**
 * Loads the add-on: `$MARGAY_NATIVE`, or `native/build/linux-<architecture>.node` in this file's folder or any above it.
 *
 * @throws {KernelError} that says where it was looked for, or what is wrong with it
 */
export function loadNative(): Native {
  const wanted = process.env.MARGAY_NATIVE ?? ''
  const known = LOADED.get(wanted)
  if (known !== undefined) return known
  const native = load()
  LOADED.set(wanted, native)
  return native
}

/** What `require` keeps anyway, by `$MARGAY_NATIVE`: without it each call looks for the file in several folders. */
const LOADED = new Map<string, Native>()

function load(): Native {
  const file = process.env.MARGAY_NATIVE ?? findUpward(import.meta.dirname, `native/build/linux-${process.arch}.node`)
  if (file === undefined || !existsSync(file)) {
    const where = file ?? `native/build/linux-${process.arch}.node in ${import.meta.dirname} or above`
    throw new KernelError(`the native add-on is missing (${where}): run "npm run setup", or set MARGAY_NATIVE to its path`)
  }
  try {
    return checkAbi(file, createRequire(import.meta.url)(path.resolve(file)))
  } catch (cause) {
    if (cause instanceof KernelError) throw cause
    throw new KernelError(`the native add-on ${file} can't be loaded on ${process.platform} ${process.arch}`, { cause })
  }
}

/** The name and the words of an error number, as `ENODEV, no such device`. */
export function describeErrno(errno: number): string {
  const [name, words] = getSystemErrorMap().get(-Math.abs(errno)) ?? [`error ${Math.abs(errno)}`, 'unknown to this system']
  return `${name}, ${words}`
}

/** Gives the result of a call, or throws what it says of its failure: `could not WHAT: ENODEV, no such device`. */
export function checked(result: number, what: string): number {
  if (result < 0) throw new KernelError(`could not ${what}: ${describeErrno(result)}`, { errno: -result })
  return result
}

function findUpward(folder: string, file: string): string | undefined {
  const candidate = path.join(folder, file)
  if (existsSync(candidate)) return candidate
  const parent = path.dirname(folder)
  return parent === folder ? undefined : findUpward(parent, file)
}

function checkAbi(file: string, loaded: Native & { readonly abi?: number }): Native {
  if (loaded.abi === ABI) return loaded
  throw new KernelError(`the native add-on ${file} has version ${loaded.abi ?? 'none'}, this margay needs ${ABI}: run "npm run setup"`)
}
