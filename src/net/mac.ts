import { ValidationError } from '../errors.ts'

/** A 48-bit Ethernet address in lower case with colons: `66:1a:2b:3c:4d:5e`. */
export type Mac = string & { readonly __brand: 'Mac' }

/**
 * Parses a MAC address with colons or dashes.
 *
 * @throws {ValidationError} naming the text as it was given
 */
export function parseMac(text: string): Mac {
  const mac = text.toLowerCase().replaceAll('-', ':')
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new ValidationError(`not a MAC address: ${JSON.stringify(text)}`)
  return mac as Mac
}

/** Six bytes, as on the wire. */
export function macToBytes(mac: Mac): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

/** From the six bytes on the wire. */
export function macFromBytes(bytes: Uint8Array): Mac {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') as Mac
}
