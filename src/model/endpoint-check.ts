import * as z from 'zod'
import type { Issue } from '../errors.ts'
import { parseProtocol } from '../net/port.ts'
import { shownAs } from './fields.ts'

/** A port of an endpoint, by whose name rules can mean it. */
interface EndpointPort {
  readonly name?: string | undefined
  readonly protocol?: number | string | undefined
  readonly port?: number | undefined
  readonly hostPort?: number | undefined
}

/** Name of an interface of a host: up to 15 characters, as the kernel has it. */
const INTERFACE_NAME = /^[a-zA-Z0-9_.-]{1,15}$/
/** A port's name (RFC 6335, section 5.1, in lower case). */
const PORT_NAME = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/
/** TCP, UDP, SCTP. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132])

/** What is wrong with the name of an interface, or undefined. */
export function checkInterfaceName(name: string): string | undefined {
  if (INTERFACE_NAME.test(name)) return undefined
  return `${JSON.stringify(name)} is not an interface (1 to 15 letters, digits, "_", "." and "-")`
}

/** What is wrong with the name of a port, or undefined. */
export function checkPortName(name: string): string | undefined {
  if (PORT_NAME.test(name)) return undefined
  return `${JSON.stringify(name)} is not a port name (up to 15 lower-case letters, digits and inner "-", at least one letter)`
}

/** A port by its number, 1 to 65535, or by the name that endpoints give it: Kubernetes' IntOrString. */
export const portOrNameField = shownAs(
  'port or name',
  {
    anyOf: [
      { type: 'integer', minimum: 1, maximum: 65_535 },
      { type: 'string', pattern: PORT_NAME.source },
    ],
  },
  z.union([z.number(), z.string()]).superRefine((given, context) => {
    const isPort = Number.isInteger(given) && Number(given) >= 1 && Number(given) <= 65_535
    const message = typeof given === 'string' ? checkPortName(given) : isPort ? undefined : `${given} is not a port (1 to 65535)`
    if (message !== undefined) context.addIssue({ code: 'custom', message, input: given })
  }),
)

/** What is wrong with the ports of an endpoint beyond the shape of their fields. Ports without a name need a port of the host. */
export function checkEndpointPorts(ports: readonly EndpointPort[] | undefined): readonly Issue[] {
  return (ports ?? []).flatMap((given, index) => {
    const path = `spec.ports[${index}]`
    const issues: Issue[] = []
    const add = (name: string, message: string | undefined) => message !== undefined && issues.push({ path: `${path}.${name}`, message })
    add('name', checkNameOf(given))
    if (given !== undefined) add('protocol', checkProtocol(given.protocol))
    if (given?.port === 0) add('port', '0 is not a port (1 to 65535)')
    return issues
  })
}

function checkNameOf(given: EndpointPort | undefined): string | undefined {
  if (given === undefined || (given.name === undefined && given.hostPort)) return undefined
  return given.name === undefined ? 'is required, unless there is a hostPort' : checkPortName(given.name)
}

function checkProtocol(protocol: number | string | undefined): string | undefined {
  if (protocol === undefined) return 'is required (TCP, UDP or SCTP)'
  try {
    if (WITH_PORTS.has(parseProtocol(String(protocol)))) return undefined
  } catch {
    // What is no protocol at all is told where the field is parsed.
    return undefined
  }
  return `${protocol} has no ports: one of TCP, UDP, SCTP`
}
