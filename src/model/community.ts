/** What a BGP community looks like, for errors. */
export const COMMUNITY_RULE = '(two parts of 16 bits, 64512:100, or three of 32 bits, 64512:100:1)'

/** Whether it is the text of a standard BGP community (RFC 1997), `aa:nn`, or a large one (RFC 8092), `aa:bb:cc`. */
export function isCommunity(text: unknown): boolean {
  if (typeof text !== 'string') return false
  const parts = text.split(':')
  const limit = parts.length === 2 ? 0xffff : parts.length === 3 ? 0xffff_ffff : -1
  return parts.every((part) => /^(0|[1-9]\d{0,9})$/.test(part) && Number(part) <= limit)
}
