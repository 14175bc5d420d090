import type { NftMatch, NftObject, NftRule, NftVerdict } from '../kernel/objects.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import type { IPPool } from '../model/ip-pool.ts'
import { FAMILIES, type Family, familyOf, type Ip } from '../net/ip.ts'
import { parsePortRange } from '../net/port.ts'
import { withoutCovered } from '../net/prefix-set.ts'

/** A tunnel device and the address from which this host's own packets must leave by it. */
export interface TunnelSource {
  readonly link: string
  readonly address: Ip
}

/** What decides the translation of sources. */
export interface NatInput {
  /** All pools, disabled ones too: their addresses are still in use. */
  readonly pools: Iterable<IPPool>
  readonly felix: Pick<
    FelixConfigurationSpec,
    'natPortRange' | 'natOutgoingAddress' | 'natOutgoingExclusions' | 'iptablesNATOutgoingInterfaceFilter'
  >
  readonly tunnels: readonly TunnelSource[]
  /** UDP port of the tunnels; no translated packet gets it as its source port, or the answer would be taken for a tunnel packet. */
  readonly vxlanPort: number | undefined
  /** Names of the sets of all hosts' addresses (policy/frame), for `natOutgoingExclusions: IPPoolsAndHostIPs`. */
  readonly hostSets: Readonly<Record<Family, string>>
}

/** nft's srcnat is 100, where Docker and most people's own rules are: who translates these packets himself comes first. */
const PRIORITY = 110
const TCP = 6
const UDP = 17

/**
 * NAT outgoing (Calico's): what leaves a pool with `natOutgoing` for an address outside of all pools gets the host's own address. And
 * packets of the host itself that leave by a tunnel with another source than the tunnel's get that one, because the answer could not
 * come back by the tunnel. Nothing where there are neither pools nor tunnels: a NAT chain makes the kernel track all connections.
 */
export function planNat(input: NatInput): readonly NftObject[] {
  const pools = [...input.pools]
  if (pools.length === 0 && input.tunnels.length === 0) return []
  const rules = [
    ...input.tunnels.flatMap((tunnel) => tunnelRules(tunnel, input.vxlanPort)),
    ...FAMILIES.flatMap((family) => (masqueradedPools(pools, family).length > 0 ? outgoingRules(family, input) : [])),
  ]
  return [
    ...FAMILIES.flatMap((family) => poolSets(family, pools)),
    { kind: 'chain', name: 'nat-postrouting', hook: { type: 'nat', hook: 'postrouting', priority: PRIORITY }, rules },
  ]
}

function poolSets(family: Family, pools: readonly IPPool[]): readonly NftObject[] {
  const all = pools.filter((pool) => familyOf(pool.spec.cidr) === family).map((pool) => pool.spec.cidr)
  const masqueraded = masqueradedPools(pools, family).map((pool) => pool.spec.cidr)
  if (masqueraded.length === 0) return []
  return [
    { kind: 'set', name: `masq${family}`, family, isInterval: true, elements: new Set(withoutCovered(masqueraded)) },
    { kind: 'set', name: `all-pools${family}`, family, isInterval: true, elements: new Set(withoutCovered(all)) },
  ]
}

function masqueradedPools(pools: readonly IPPool[], family: Family): readonly IPPool[] {
  return pools.filter((pool) => pool.spec.natOutgoing === true && familyOf(pool.spec.cidr) === family)
}

function tunnelRules({ link, address }: TunnelSource, vxlanPort: number | undefined): readonly NftRule[] {
  const matches: readonly NftMatch[] = [
    { on: 'oifname', value: link },
    { on: 'saddr', value: address, negate: true },
    { on: 'saddr-type', value: 'local' },
  ]
  return translations(matches, { ports: undefined, vxlanPort, address: undefined })
}

function outgoingRules(family: Family, { felix, hostSets, vxlanPort }: NatInput): readonly NftRule[] {
  const filter = felix.iptablesNATOutgoingInterfaceFilter
  const matches: NftMatch[] = [
    { on: 'saddr', set: `masq${family}`, family },
    { on: 'daddr', set: `all-pools${family}`, family, negate: true },
  ]
  if (felix.natOutgoingExclusions === 'IPPoolsAndHostIPs') matches.push({ on: 'daddr', set: hostSets[family], family, negate: true })
  // Calico writes the wildcard as iptables does.
  if (filter) matches.push({ on: 'oifname', value: filter.replace(/\+$/, '*') })
  const ports = felix.natPortRange === undefined ? undefined : parsePortRange(String(felix.natPortRange))
  const address = family === 4 ? felix.natOutgoingAddress : undefined
  return translations(matches, { ports: ports && [ports.low, ports.high], vxlanPort, address })
}

interface Translation {
  readonly ports: readonly [number, number] | undefined
  readonly vxlanPort: number | undefined
  readonly address: Ip | undefined
}

/** Ports can be given for TCP and UDP only, so each that has some has a rule of its own before the general one. */
function translations(matches: readonly NftMatch[], { ports, vxlanPort, address }: Translation): readonly NftRule[] {
  const udpPorts = vxlanPort === undefined ? ports : portsWithout(ports ?? [1024, 65_535], vxlanPort)
  const verdict = (range: readonly [number, number] | undefined): NftVerdict => {
    const common = { isRandom: true, ...(range ? { ports: range } : {}) }
    return address === undefined ? { do: 'masquerade', ...common } : { do: 'snat', address, ...common }
  }
  const rules: NftRule[] = []
  if (ports) rules.push({ matches: [...matches, { on: 'protocol', value: TCP }], verdict: verdict(ports), isCounted: true })
  if (udpPorts) rules.push({ matches: [...matches, { on: 'protocol', value: UDP }], verdict: verdict(udpPorts), isCounted: true })
  return [...rules, { matches, verdict: verdict(undefined), isCounted: true }]
}

/** The larger part of a range on one side of a port; all of it if nothing would be left. */
function portsWithout([low, high]: readonly [number, number], port: number): readonly [number, number] {
  if (port < low || port > high || low === high) return [low, high]
  return port - low > high - port ? [low, port - 1] : [port + 1, high]
}
