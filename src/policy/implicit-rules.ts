import type { NftMatch, NftRule } from '../kernel/objects.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { ImplicitAllow, TunnelPacket } from './evaluate-path.ts'
import { GATEWAY_ALLOWS, type GatewayAllow } from './evaluate-path.ts'
import type { Direction } from './policies.ts'

/** What hosts of the network always let through between each other, by the sets of their addresses. */
export interface ImplicitRule extends Pick<ImplicitAllow, 'name' | 'protocol' | 'port' | 'direction'> {
  readonly peers: readonly { readonly family: Family; readonly set: string }[]
}

/** What lets it through on host endpoints in one direction. */
export function implicitRules(implicit: readonly ImplicitRule[], at: Direction): readonly NftRule[] {
  const on = at === 'ingress' ? 'saddr' : 'daddr'
  return implicit
    .filter(({ direction }) => direction === undefined || direction === at)
    .flatMap(({ protocol, port, peers }) => peers.map(({ family, set }) => accept(...protocolMatches(protocol, port), { on, set, family })))
}

/** What drops tunnel packets of workloads: whoever could send them would be in every other workload's network behind all policy. */
export function tunnelDrops(tunnels: readonly TunnelPacket[]): readonly NftRule[] {
  return tunnels.map(({ protocol, port }) => ({ matches: protocolMatches(protocol, port), verdict: { do: 'drop' }, isCounted: true }))
}

/** What lets workloads ask their gateway for addresses and names. */
export function gatewayRules(): readonly NftRule[] {
  return GATEWAY_ALLOWS.flatMap(({ protocol, port, addresses }: GatewayAllow) =>
    addresses.map((value: Ip) => accept(...protocolMatches(protocol, port), { on: 'daddr', value })),
  )
}

function protocolMatches(protocol: number, port: number | undefined): readonly NftMatch[] {
  const matches: readonly NftMatch[] = [{ on: 'protocol', value: protocol }]
  return port === undefined ? matches : [...matches, { on: 'dport', value: port }]
}

function accept(...matches: readonly NftMatch[]): NftRule {
  return { matches, verdict: { do: 'accept' } }
}
