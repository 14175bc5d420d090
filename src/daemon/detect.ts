import { parseDetectionMethod } from '../config/detection.ts'
import type { AddressConfig } from '../config.ts'
import { ValidationError } from '../errors.ts'
import type { Interface } from '../kernel/table.ts'
import { cidrContains, type InterfaceAddress, ipOf, parseCidr, parseInterfaceAddress } from '../net/cidr.ts'
import { type Family, familyOf, parseIp } from '../net/ip.ts'

/** Interfaces that carry containers, tunnels or nothing: never an underlay unless they are named (calico-model of `first-found`). */
const NEVER_UNDERLAY =
  /^(docker|cbr|dummy|podman|virbr|lxcbr|lxdbr|incusbr|veth|vnet|lo$|br-|cali|tunl|flannel|kube-ipvs|cni|vxlan|wireguard\.cali|wg|tailscale|zt|nodelocaldns|margay\.|mgy)/

/** An address that could be this host's underlay address of one family. */
export interface Candidate {
  readonly link: string
  readonly address: InterfaceAddress
}

/** What address detection looks at. */
export interface DetectInput {
  readonly family: Family
  readonly config: AddressConfig
  readonly interfaces: readonly Interface[]
  /** What the Node record holds: kept as long as it is still a candidate, so that an address never flips while it is up. */
  readonly stored: InterfaceAddress | undefined
  /** The source address that the kernel would use towards the `can-reach` destination, or towards etcd; undefined without a route. */
  readonly sourceTo: string | undefined
}

/**
 * This host's underlay address of one family, or undefined where the configuration allows none.
 *
 * @throws {ValidationError} when nothing fits, or when more than one interface does, naming the candidates
 */
export function detectAddress(input: DetectInput): Candidate | undefined {
  const { family, config } = input
  if (config.address === 'none') return undefined
  if (!config.address.startsWith('autodetect')) return findConfigured(input)
  const found = choose(input)
  if (found !== undefined || config.address === 'autodetect-if-present') return found
  throw new ValidationError(
    `no interface has an IPv${family} address that fits method ${JSON.stringify(config.method)}; ${listed(candidatesOf(input.interfaces, family))}`,
  )
}

/** Every address of this family that an interface has for the world outside, in the kernel's order. */
export function candidatesOf(interfaces: readonly Interface[], family: Family): readonly Candidate[] {
  return interfaces
    .filter((link) => link.isUp && !link.isLoopback)
    .flatMap((link) =>
      link.addresses
        .filter((entry) => entry.scope === 'global' && !entry.isDeprecated && !entry.isTentative && familyOf(entry.address) === family)
        .map((entry) => ({ link: link.name, address: parseInterfaceAddress(entry.address) })),
    )
    .filter(({ address }) => !isUnusable(address))
}

function choose(input: DetectInput): Candidate | undefined {
  const fitting = fittingCandidates(input)
  const kept = fitting.find(({ address }) => address === input.stored)
  if (kept !== undefined) return kept
  const firsts = firstOfEachLink(fitting)
  if (firsts.length < 2) return firsts[0]
  const routed = fitting.find(({ address }) => ipOf(address) === input.sourceTo)
  if (routed !== undefined) return routed
  const method = input.config.method
  throw new ValidationError(
    `which IPv${input.family} address is this host's? method ${JSON.stringify(method)} fits ${firsts.length} interfaces; ` +
      `${listed(firsts)}: choose with method interface=NAME, cidr=CIDR or can-reach=ADDRESS, or give the address`,
  )
}

function fittingCandidates({ config, interfaces, family, sourceTo }: DetectInput): readonly Candidate[] {
  const all = candidatesOf(interfaces, family)
  const usual = all.filter(({ link }) => !NEVER_UNDERLAY.test(link))
  const method = parseDetectionMethod(config.method)
  switch (method.method) {
    case 'interface':
      return method.patterns.flatMap((pattern) => all.filter(({ link }) => pattern.test(link)))
    case 'skip-interface':
      return usual.filter(({ link }) => !method.patterns.some((pattern) => pattern.test(link)))
    case 'cidr':
      return all.filter(({ address }) => method.cidrs.some((cidr) => cidrContains(cidr, ipOf(address))))
    case 'can-reach':
      return all.filter(({ address }) => ipOf(address) === sourceTo)
    case 'first-found':
      return usual
  }
}

/** The first address of each interface: several addresses on one interface are no ambiguity, the kernel's first is its primary. */
function firstOfEachLink(candidates: readonly Candidate[]): readonly Candidate[] {
  const seen = new Map<string, Candidate>()
  for (const candidate of candidates) if (!seen.has(candidate.link)) seen.set(candidate.link, candidate)
  return [...seen.values()]
}

/** A configured address must be on an interface: a typo would make a Node that nobody reaches. */
function findConfigured({ config, interfaces, family }: DetectInput): Candidate {
  const wanted = config.address.includes('/') ? parseInterfaceAddress(config.address) : undefined
  const ip = wanted === undefined ? parseIp(config.address) : ipOf(wanted)
  const all = candidatesOf(interfaces, family)
  const match = all.find(({ address }) => ipOf(address) === ip)
  if (match === undefined) throw new ValidationError(`no interface that is up has the configured address ${ip}; ${listed(all)}`)
  return wanted === undefined ? match : { link: match.link, address: wanted }
}

function listed(candidates: readonly Candidate[]): string {
  if (candidates.length === 0) return 'no interface that is up has a global address of this family'
  return `candidates: ${candidates.map(({ link, address }) => `${address} on ${link}`).join(', ')}`
}

/** Link-local addresses are no underlay: a next hop there means nothing to a host that is not on the link. */
function isUnusable(address: InterfaceAddress): boolean {
  const family = familyOf(address)
  const linkLocal = family === 4 ? parseCidr('169.254.0.0/16') : parseCidr('fe80::/10')
  return cidrContains(linkLocal, ipOf(address)) || ipOf(address) === (family === 4 ? '0.0.0.0' : '::')
}
