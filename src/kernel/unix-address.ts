import { KernelError } from '../errors.ts'

/** Address family and kind of socket (unix(7)). */
export const AF_UNIX = 1
export const SOCK_DGRAM = 2

/** sun_path. */
const MAX_PATH_BYTES = 108

/**
 * The address of a unix socket: a path, or with a leading `@` a name in the abstract namespace, which belongs to the network
 * namespace and is free again when its holder ends, however that happens.
 */
export function unixAddress(text: string): Buffer {
  const isAbstract = text.startsWith('@')
  const name = Buffer.from(isAbstract ? `\0${text.slice(1)}` : text)
  if ((!isAbstract && !text.startsWith('/')) || name.length >= MAX_PATH_BYTES) {
    throw new KernelError(
      `not the address of a unix socket (a path of less than ${MAX_PATH_BYTES} bytes, or @NAME): ${JSON.stringify(text)}`,
    )
  }
  const address = Buffer.alloc(2 + name.length + (isAbstract ? 0 : 1))
  address.writeUInt16LE(AF_UNIX, 0)
  name.copy(address, 2)
  return address
}
