import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MACHINE, run, start, stop, until } from './command.ts'
import { isWithin, type OuterPacket, readPcap } from './pcap.ts'
import type { Topology } from './topology.ts'

/** What was on the wire between hosts, each packet counted once, where its host sent it. */
export interface WireCount {
  /** UDP to port 4789 from a host to a host. */
  readonly encapsulated: number
  /** The outer source or destination is in a pool. */
  readonly plain: number
  /** All else: etcd, neighbour discovery. */
  readonly other: number
}

/** A running capture of all subnets of a lab. */
export interface Capture {
  /** Ends the capture; every packet sent before the call is in it. Throws if the kernel had to drop any. */
  end(pools: readonly string[]): Promise<{ readonly count: WireCount; readonly packets: readonly OuterPacket[] }>
  /** One packet that passes the filter (pcap-filter(7)), in tcpdump's words; undefined if there was none. After `end`. */
  show(filter: string): Promise<string | undefined>
}

const VXLAN_PORT = 4789

/** Captures on the bridges, all but what the router forwarded: that was counted when its host sent it. */
export async function startCapture(topology: Topology, folder: string): Promise<Capture> {
  const taps = await Promise.all(topology.bridges.map((bridge, index) => startTap(topology, bridge, index, folder)))
  return {
    end: async (pools) => {
      const packets = (await Promise.all(taps.map((tap) => tap.end()))).flat()
      return { count: countPackets(packets, hostAddresses(topology), pools), packets }
    },
    show: async (filter) => {
      for (const { path } of taps) {
        const text = await run(MACHINE, ['tcpdump', '-r', path, '-nn', '-v', '-t', '-c', '1', filter])
        if (text.trim() !== '') return text.trim()
      }
      return undefined
    },
  }
}

/** Counts outer packets by what they are; `pools` are CIDRs. */
export function countPackets(packets: readonly OuterPacket[], hosts: ReadonlySet<string>, pools: readonly string[]): WireCount {
  const isPooled = (address: string) => pools.some((pool) => isWithin(address, pool))
  const count = { encapsulated: 0, plain: 0, other: 0 }
  for (const { source, destination, udpPort } of packets) {
    if (isPooled(source) || isPooled(destination)) count.plain += 1
    else if (udpPort === VXLAN_PORT && hosts.has(source) && hosts.has(destination)) count.encapsulated += 1
    else count.other += 1
  }
  return count
}

function hostAddresses(topology: Topology): ReadonlySet<string> {
  return new Set(topology.hosts.flatMap(({ ipv4, ipv6 }) => [ipv4, new URL(`http://[${ipv6}]`).hostname.slice(1, -1)]))
}

interface Tap {
  readonly path: string
  end(): Promise<OuterPacket[]>
}

async function startTap(topology: Topology, bridge: string, index: number, folder: string): Promise<Tap> {
  const show = await run(MACHINE, ['ip', '-n', topology.router.name, '-j', 'link', 'show', 'dev', `eth${index}`])
  const [{ address: routerMac }] = JSON.parse(show) as [{ address: string }]
  const path = join(folder, `${bridge}.pcap`)
  const logPath = join(folder, `${bridge}.tcpdump.log`)
  const log = openSync(logPath, 'w')
  // Immediate mode and unbuffered output: what was on the wire before the end is in the file.
  const options = ['--immediate-mode', '-U', '-n', '-s', '200', '-B', '16384', '-Z', 'root', '-w', path]
  const child = start(topology.underlay, ['tcpdump', '-i', bridge, ...options, 'not', 'ether', 'src', routerMac], {
    stdio: ['ignore', 'ignore', log],
  })
  await until({ what: `tcpdump on ${bridge}` }, () => (readFileSync(logPath, 'utf8').includes('listening on') ? true : undefined))
  return {
    path,
    end: async () => {
      await stop(child, 'SIGINT')
      const words = readFileSync(logPath, 'utf8')
      const dropped = Number(/(\d+) packets? dropped by kernel/.exec(words)?.[1] ?? -1)
      if (dropped !== 0) throw new Error(`tcpdump on ${bridge} lost packets: ${words.trim()}`)
      return readPcap(readFileSync(path))
    },
  }
}
