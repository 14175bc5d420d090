import { lookup } from 'node:dns/promises'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDetectionMethod } from '../config/detection.ts'
import type { Config } from '../config.ts'
import type { Underlay } from '../encap/driver.ts'
import { readSysctl } from '../kernel/sysctl.ts'
import type { Interface, Kernel } from '../kernel/table.ts'
import type { Node } from '../model/node.ts'
import { type InterfaceAddress, ipOf, parseInterfaceAddress, subnetOf } from '../net/cidr.ts'
import { FAMILIES, type Family, isIp } from '../net/ip.ts'
import type { HostInterface } from '../policy/host-endpoints.ts'
import { type Candidate, detectAddress } from './detect.ts'
import { writeStateFile } from './state-file.ts'

/** What was read of this host, apart from what only the daemon's own work decides. */
export interface HostFacts {
  readonly interfaces: readonly Interface[]
  /** Those that are not ours, by name, with their addresses. */
  readonly foreignInterfaces: readonly HostInterface[]
  readonly address: { readonly [F in Family]?: InterfaceAddress }
  readonly underlay: { readonly 4?: Underlay; readonly 6?: Underlay }
  readonly advertisedLinks: readonly string[]
  readonly filteredUplinks: readonly string[]
  readonly hasIpv6: boolean
}

/** What reading depends on. */
export interface HostFactsInput {
  readonly kernel: Kernel
  readonly config: Config
  /** Our Node record, where there is one: its addresses are kept while they are up. */
  readonly node: Node | undefined
}

/**
 * Reads interfaces, addresses and kernel parameters of this host.
 *
 * @throws {ValidationError} when the configuration's address can't be found, or could be one of several
 */
export async function readHostFacts({ kernel, config, node }: HostFactsInput, signal: AbortSignal): Promise<HostFacts> {
  const interfaces = await kernel.interfaces(signal)
  const found = new Map<Family, Candidate>()
  for (const family of FAMILIES) {
    const method = config.address[family === 4 ? 'ipv4' : 'ipv6']
    const sourceTo = await sourceTowards(kernel, config, family, signal)
    const candidate = detectAddress({ family, config: method, interfaces, stored: storedAddress(node, family), sourceTo })
    if (candidate !== undefined) found.set(family, candidate)
  }
  const [v4, v6] = [found.get(4), found.get(6)]
  const uplinks = [...new Set([...found.values()].map(({ link }) => link))]
  return {
    interfaces,
    foreignInterfaces: foreignInterfaces(interfaces),
    address: { ...(v4 === undefined ? {} : { 4: v4.address }), ...(v6 === undefined ? {} : { 6: v6.address }) },
    underlay: {
      ...(v4 === undefined ? {} : { 4: underlayOf(v4, interfaces) }),
      ...(v6 === undefined ? {} : { 6: underlayOf(v6, interfaces) }),
    },
    advertisedLinks: interfaces.map(({ name }) => name).filter(isAdvertised),
    filteredUplinks: uplinks.filter(isFiltered),
    hasIpv6: existsSync('/proc/sys/net/ipv6') && readSysctl('net/ipv6/conf/all/disable_ipv6') !== '1',
  }
}

function underlayOf({ link, address }: Candidate, interfaces: readonly Interface[]): Underlay {
  const mtuBytes = interfaces.find(({ name }) => name === link)?.mtuBytes ?? 1500
  return { ip: ipOf(address), subnet: subnetOf(address), uplink: link, mtuBytes }
}

function storedAddress(node: Node | undefined, family: Family): InterfaceAddress | undefined {
  const stored = family === 4 ? node?.spec.bgp?.ipv4Address : node?.spec.bgp?.ipv6Address
  return stored === undefined ? undefined : parseInterfaceAddress(stored)
}

/** The source address towards the configured destination, or towards the first etcd that is elsewhere; undefined if none is known. */
async function sourceTowards(kernel: Kernel, config: Config, family: Family, signal: AbortSignal): Promise<string | undefined> {
  const detection = config.address[family === 4 ? 'ipv4' : 'ipv6']
  const method = parseDetectionMethod(detection.method)
  const targets =
    method.method === 'can-reach' ? [method.destination] : config.etcd.endpoints.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ''))
  for (const target of targets) {
    for (const ip of await resolve(target, family)) {
      const route = await kernel.routeTo(ip, signal)
      if (route !== undefined && route.link !== 'lo') return route.source
    }
  }
  return undefined
}

async function resolve(target: string, family: Family): Promise<readonly string[]> {
  if (isIp(target)) return target.includes(':') === (family === 6) ? [target] : []
  try {
    return (await lookup(target, { family, all: true })).map(({ address }) => address)
  } catch {
    // A name that does not resolve leads nowhere: the candidates are named then.
    return []
  }
}

/** What policies may be for: an address counts whatever its scope is. */
function foreignInterfaces(interfaces: readonly Interface[]): readonly HostInterface[] {
  return interfaces
    .filter(({ name }) => !isOurs(name))
    .map(({ name, addresses }) => ({ name, addresses: addresses.map(({ address }) => ipOf(parseInterfaceAddress(address))) }))
}

function isOurs(name: string): boolean {
  return /^(margay\.|mgy)/.test(name)
}

/** The kernel takes router advertisements on it now, and would stop when forwarding is turned on, if it has 1. */
function isAdvertised(link: string): boolean {
  if (link === 'lo' || isOurs(link)) return false
  const value = readSysctl(`net/ipv6/conf/${link}/accept_ra`)
  return value === '1' || value === '2'
}

function isFiltered(link: string): boolean {
  const values = ['all', link].map((name) => readSysctl(`net/ipv4/conf/${name}/rp_filter`))
  return values.some((value) => value !== undefined && value !== '0')
}

/**
 * Whether this host forwarded before margay turned it on. Kept with the boot's id, because afterwards the kernel says yes in any case;
 * another boot begins with what the host's own configuration says. In `paths.run`, which is memory: it must not need a disk with space.
 */
export function forwardedBefore(runFolder: string): boolean {
  const file = join(runFolder, 'forwarding.json')
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  const known = readKnown(file)
  if (known !== undefined && known.boot === boot) return known.wasForwarding
  const wasForwarding = readSysctl('net/ipv4/ip_forward') === '1' || readSysctl('net/ipv6/conf/all/forwarding') === '1'
  writeStateFile(file, `${JSON.stringify({ boot, wasForwarding })}\n`)
  return wasForwarding
}

function readKnown(file: string): { readonly boot: string; readonly wasForwarding: boolean } | undefined {
  try {
    const known: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof known === 'object' && known !== null && 'boot' in known && 'wasForwarding' in known
      ? { boot: String(known.boot), wasForwarding: known.wasForwarding === true }
      : undefined
  } catch {
    return undefined
  }
}

/** Every prefix that an interface of the host is in, for choosing a pool that overlaps none of them. */
export function hostNetworks(interfaces: readonly Interface[]) {
  const foreign = interfaces.filter(({ name }) => !isOurs(name))
  return foreign.flatMap(({ addresses }) => addresses.map(({ address }) => subnetOf(parseInterfaceAddress(address))))
}
