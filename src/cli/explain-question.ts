import { FAMILIES, type Family, familyOf } from '../net/ip.ts'
import { PROTOCOL_NUMBERS, parseProtocol } from '../net/port.ts'
import { ICMP_PROTOCOLS, type Packet, PORT_PROTOCOLS } from '../policy/packet.ts'
import { UsageError } from './context.ts'
import type { End } from './explain-ends.ts'

/** What is asked: the first packet of a connection of one family. */
export interface FlowQuestion {
  readonly source: End
  readonly destination: End
  readonly family: Family
  /** Number of the protocol. */
  readonly protocol: number
  readonly sourcePort?: number | undefined
  readonly port?: number | undefined
  readonly icmp?: Packet['icmp']
}

/** What was given on the command line beside the two ends. */
export interface GivenPacket {
  readonly protocol?: string | undefined
  readonly port?: string | undefined
  readonly sourcePort?: number | undefined
  readonly family?: Family | undefined
}

/** Any of those that programs get; rules seldom look at it. */
const SOURCE_PORT = 40_000

/** What `ping` sends. */
const ECHO_REQUEST: Readonly<Record<Family, number>> = { 4: 8, 6: 128 }

/**
 * One question for each family in which both ends have an address. Without a protocol it is what `ping` sends.
 *
 * @throws {UsageError} naming what does not fit, and what would
 */
export function readQuestions(source: End, destination: End, given: GivenPacket): readonly FlowQuestion[] {
  if (source.kind === 'outside' && destination.kind === 'outside') {
    throw new UsageError(`neither ${source.name} nor ${destination.name} is a workload or a host of this network: one of them must be`)
  }
  return familiesOf(source, destination, given.family).map((family) => {
    const protocol = readProtocol(given.protocol, family)
    const base = { source, destination, family, protocol }
    if (Object.values(ICMP_PROTOCOLS).includes(protocol)) return { ...base, icmp: readIcmp(given.port, family) }
    return { ...base, ...readPorts(given, destination, protocol) }
  })
}

function familiesOf(source: End, destination: End, wanted: Family | undefined): readonly Family[] {
  const has = ({ addresses }: End, family: Family) => addresses.some((ip) => familyOf(ip) === family)
  const both = FAMILIES.filter((family) => has(source, family) && has(destination, family))
  const families = both.filter((family) => wanted === undefined || wanted === family)
  if (families.length > 0) return families
  const say = ({ name, addresses }: End) => `${name} has ${addresses.length === 0 ? 'no address in the store' : addresses.join(', ')}`
  throw new UsageError(`there is no IP version ${wanted ?? ''} that both have: ${say(source)}, ${say(destination)}`.replace('  ', ' '))
}

/** `icmp` means that of the family, as people say it. */
function readProtocol(given: string | undefined, family: Family): number {
  const lower = given?.toLowerCase()
  if (lower === undefined || lower === 'icmp' || lower === 'ping') return ICMP_PROTOCOLS[family]
  const name = Object.keys(PROTOCOL_NUMBERS).find((one) => one.toLowerCase() === lower)
  const number = name ?? (/^[1-9]\d{0,2}$/.test(lower) && Number(lower) <= 255 ? lower : undefined)
  if (number !== undefined) return parseProtocol(number)
  const hint = /^\d+$/.test(lower) ? `; for a port write "tcp ${given}"` : ''
  throw new UsageError(`${JSON.stringify(given)} is not a protocol (tcp, udp, icmp, icmpv6, sctp, udplite or 1 to 255)${hint}`)
}

function readIcmp(given: string | undefined, family: Family): FlowQuestion['icmp'] {
  if (given === undefined) return { type: ECHO_REQUEST[family], code: 0 }
  const [type = Number.NaN, code = 0] = /^\d{1,3}(\/\d{1,3})?$/.test(given) ? given.split('/').map(Number) : []
  if (type <= 255 && code <= 255) return { type, code }
  throw new UsageError(`${JSON.stringify(given)} is not a type of ICMP, give TYPE or TYPE/CODE, each 0 to 255`)
}

function readPorts({ port, sourcePort }: GivenPacket, destination: End, protocol: number): Pick<FlowQuestion, 'port' | 'sourcePort'> {
  const hasPorts = PORT_PROTOCOLS.includes(protocol)
  if (!hasPorts && (port ?? sourcePort) !== undefined) throw new UsageError(`protocol ${protocol} has no ports: leave out the port`)
  if (!hasPorts) return {}
  if (port === undefined) throw new UsageError('rules may look at the port: give one after the protocol, as in "tcp 443"')
  return { port: readPort(port, destination, protocol), sourcePort: sourcePort ?? SOURCE_PORT }
}

/** A number, or the name that the destination has for one of its ports. */
function readPort(given: string, { name, ports }: End, protocol: number): number {
  const number = /^\d{1,5}$/.test(given) ? Number(given) : Number.NaN
  if (number >= 1 && number <= 65_535) return number
  const named = ports.find((one) => one.name === given && parseProtocol(one.protocol) === protocol)
  if (named !== undefined) return named.port
  const known = ports.map((one) => one.name).join(', ')
  const names = known === '' ? `${name} has no named ports` : `${name} has ${known}`
  throw new UsageError(`${JSON.stringify(given)} is not a port: give 1 to 65535, or the name of a port of this protocol (${names})`)
}
