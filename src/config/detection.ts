import { ValidationError } from '../errors.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import { isIp } from '../net/ip.ts'

/** How an underlay address is found among the host's interfaces, checked and ready to use. */
export type DetectionMethod =
  | { readonly method: 'first-found' }
  /** The source address towards this IP address or host name. */
  | { readonly method: 'can-reach'; readonly destination: string }
  /** Interfaces whose name one of the expressions matches (or, for `skip-interface`, none of them). Not anchored. */
  | { readonly method: 'interface' | 'skip-interface'; readonly patterns: readonly RegExp[] }
  /** An address inside one of the prefixes. */
  | { readonly method: 'cidr'; readonly cidrs: readonly Cidr[] }

const RIGHT = 'give first-found, can-reach=DESTINATION, interface=REGEX,…, skip-interface=REGEX,… or cidr=CIDR,…'

/**
 * Parses an address detection method as Calico writes it.
 *
 * @throws {ValidationError} naming the text and what would be right
 */
export function parseDetectionMethod(text: string): DetectionMethod {
  if (text === 'first-found') return { method: 'first-found' }
  const [, method, argument] = /^([a-z-]+)=(.*)$/s.exec(text) ?? []
  const items = (argument ?? '').split(',').map((item) => item.trim())
  if (argument !== undefined && items.includes(''))
    throw new ValidationError(`${JSON.stringify(text)} has an empty item after "=", ${RIGHT}`)
  if (method === 'can-reach') return { method, destination: parseDestination(argument ?? '') }
  if (method === 'interface' || method === 'skip-interface') return { method, patterns: items.map(parsePattern) }
  if (method === 'cidr') return { method, cidrs: items.map(parseCidr) }
  throw new ValidationError(`${JSON.stringify(text)} is not a detection method, ${RIGHT}`)
}

function parseDestination(text: string): string {
  if (isIp(text) || (/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(text) && !/^[\d.]+$/.test(text))) return text
  throw new ValidationError(
    `${JSON.stringify(text)} is neither an IP address nor a host name, give can-reach=192.0.2.1 or can-reach=gateway.example`,
  )
}

/** Not anchored, as in Calico: `eth` also matches `veth1`; write `^eth` to mean the beginning. */
function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (cause) {
    throw new ValidationError(`${JSON.stringify(text)} is not a regular expression, give one such as ^eth[0-9]+`, [], { cause })
  }
}
