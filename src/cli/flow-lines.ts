import type { Decider, EndedEvent, FlowEvent, FlowLine } from '../model/own/flows.ts'

/** Which events somebody wants to see; absent is all. */
export interface FlowFilter {
  /** Only what was denied, or ended because it is. */
  readonly dropped?: boolean
  /** `<name>` or `<namespace>/<name>` of a policy or profile. */
  readonly policy?: string
  /** `<name>` or `<namespace>/<name>` of a workload, the name of a host endpoint. */
  readonly endpoint?: string
}

/** Whether the event is asked for. What got lost, or is not told one by one, always is: it may have been. */
export function isWanted(line: FlowLine, { dropped, policy, endpoint }: FlowFilter): boolean {
  if (line.type === 'lost' || line.type === 'ended-more') return true
  if (dropped && line.type !== 'ended' && line.verdict !== 'deny') return false
  if (policy !== undefined && !isNamed(line.decider?.name, line.decider?.namespace, policy)) return false
  if (endpoint === undefined) return true
  return line.type !== 'suppressed' && line.endpoint !== undefined && (line.endpoint === endpoint || line.endpoint.endsWith(`/${endpoint}`))
}

function isNamed(name: string | undefined, namespace: string | undefined, wanted: string): boolean {
  return name === wanted || (namespace !== undefined && `${namespace}/${name}` === wanted)
}

/** An event in one line for a person. */
export function showFlow(line: FlowLine): string {
  return `${line.time} ${describeFlow(line)}`
}

/** What happened, without when. */
export function describeFlow(line: FlowLine): string {
  if (line.type === 'lost') {
    const why = line.where === 'kernel' ? 'there were too many at once' : 'they were read too slowly'
    return `${line.events ?? 'some'} events were lost: ${why}`
  }
  if (line.type === 'ended-more') return `ended ${line.flows} more connections, not told one by one`
  if (line.type === 'ended') return describeEnded(line)
  const head = `${line.verdict.padEnd(5)} ${line.direction.padEnd(7)}`
  if (line.type === 'suppressed') return `${head} ${line.packets} more packets, not told one by one: ${showDecider(line.decider)}`
  const where = line.endpoint ?? line.interface ?? 'an endpoint that is gone'
  const prefix = line.prefix === undefined ? '' : ` [${line.prefix}]`
  return `${head} ${where}: ${showPacket(line)}, ${line.lengthBytes} bytes, ${showDecider(line.decider)}${prefix}`
}

function describeEnded(line: EndedEvent): string {
  const { direction = '-', endpoint = '-', decider, by } = line
  return `ended ${direction.padEnd(7)} ${endpoint}: ${showPacket(line)}, ${decider === undefined ? by : showDecider(decider)}`
}

function showPacket({ protocol, source, sourcePort, destination, destinationPort, icmp }: FlowEvent | EndedEvent): string {
  const what = icmp === undefined ? '' : ` type ${icmp.type} code ${icmp.code}`
  return `${protocol} ${showEnd(source, sourcePort)} > ${showEnd(destination, destinationPort)}${what}`
}

function showEnd(address: string, port: number | undefined): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** What decided: `NetworkPolicy shop/web rule 0`, `end of tier default`. */
export function showDecider({ by, kind, namespace, name, tier, rule }: Decider): string {
  if (by === 'tier') return `end of tier ${tier}`
  if (by === 'end') return 'nothing allows it'
  if (by === 'endpoint-to-host') return 'defaultEndpointToHostAction'
  if (by === 'missing-profile') return `its profile ${name} does not exist`
  const full = `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`
  if (by === 'closed') return `closed: ${name === undefined ? 'what decides about it' : full} can't be read`
  return `${full} rule ${rule}`
}
