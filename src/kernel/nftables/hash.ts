import { createHash } from 'node:crypto'

/** Type of our entry in a rule's user data, beside nft's own comment (0). nft(8) skips types that it does not know. */
const HASH_TYPE = 0x6d
const HASH_BYTES = 16
const COMMENT_TYPE = 0

/** The name of a rule's body: the first 128 bits of SHA-256 over its expressions, in hex. */
export function hashRule(expressions: Uint8Array): string {
  return createHash('sha256')
    .update(expressions)
    .digest('hex')
    .slice(0, 2 * HASH_BYTES)
}

/**
 * User data that carries a rule's hash, so that a daemon without memory can tell what it would write from what is there. The kernel
 * keeps it and looks at nothing in it; `nft replace rule` by a person loses it, which is how we see the change.
 */
export function hashToUserData(hash: string): Buffer {
  const userData = Buffer.allocUnsafe(2 + HASH_BYTES)
  userData[0] = HASH_TYPE
  userData[1] = HASH_BYTES
  userData.write(hash, 2, 'hex')
  return userData
}

/** The hash in a rule's user data, or empty for a rule that we did not write. */
export function hashFromUserData(userData: Buffer | undefined): string {
  let offset = 0
  while (userData && offset + 2 <= userData.length) {
    const [type = 0, length = 0] = userData.subarray(offset, offset + 2)
    if (type === HASH_TYPE && length === HASH_BYTES) return userData.toString('hex', offset + 2, offset + 2 + length)
    offset += 2 + length
  }
  return ''
}

/** User data that nft(8) shows as `comment "…"` of a table. */
export function commentUserData(comment: string): Buffer {
  const text = Buffer.from(`${comment}\0`)
  return Buffer.concat([Buffer.of(COMMENT_TYPE, text.length), text])
}
