import type { ChildProcess } from 'node:child_process'
import { MACHINE, type Place, run, start, until } from '../scripts/lab/command.ts'
import { startLab } from '../scripts/lab/lab.ts'
import { isReachable } from '../scripts/lab/probe.ts'
import { type LabHost, type Namespace, setSysctls, type Topology } from '../scripts/lab/topology.ts'

/** A way from a workload on one host to a workload on another, with a receiver at its end. */
export interface Path {
  readonly name: string
  readonly from: Place
  /** The far workload's. */
  readonly address: string
  /** What must be the same of two tunnels; undefined where there is none. */
  tunnelFacts(): Promise<Readonly<Record<string, string>> | undefined>
  /** The 99.9th percentile of the event loop's delay of each daemon on the way, milliseconds. */
  loopDelaysMs(): Promise<readonly number[]>
  close(): Promise<void>
}

const VXLAN_MTU = 1450
const UPLINK_MTU = 1500

/** A lab of two hosts in this mode, with a workload on each. */
export async function margayPath(mode: 'vxlan' | 'direct'): Promise<Path> {
  const lab = await startLab({ hosts: [0, 0], etcd: 'plain', mode })
  try {
    const [near, far] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')]
    const address = far.addresses.find((one) => !one.includes(':')) ?? ''
    await until({ what: `${mode} to carry` }, async () => ((await isReachable(near.namespace, address)) ? true : undefined))
    const receiver = await startReceiver(far.namespace)
    return {
      name: mode,
      from: near.namespace,
      address,
      tunnelFacts: () => (mode === 'vxlan' ? tunnelFacts(near.daemon.host, 'margay.vxlan') : Promise.resolve(undefined)),
      loopDelaysMs: async () =>
        (await Promise.all(lab.daemons.map((daemon) => daemon.status()))).flatMap(({ loopDelayP999Ms: ms }) => ms ?? []),
      close: async () => {
        receiver.kill('SIGKILL')
        await lab.close()
      },
    }
  } catch (error) {
    await lab.close()
    throw error
  }
}

/**
 * The same made by hand with ip(8): routes on the wire (`plain`); a VXLAN tunnel with static entries and nothing else (`bare-tunnel`);
 * or the tunnel and the masquerading by which its workloads reach the outside (`hand-made`), which margay's default pools have too.
 */
export async function handMade(name: 'plain' | 'bare-tunnel' | 'hand-made', topology: Topology): Promise<Path> {
  try {
    const [near, far] = topology.hosts
    if (near === undefined || far === undefined) throw new Error('a path needs two hosts')
    const mtu = name === 'plain' ? UPLINK_MTU : VXLAN_MTU
    const ends = [
      { host: near, ip: '10.66.1.2', tunnelIp: '10.66.1.0', mac: '66:00:00:00:00:01' },
      { host: far, ip: '10.66.2.2', tunnelIp: '10.66.2.0', mac: '66:00:00:00:00:02' },
    ] as const
    const [first, second] = ends
    const workloads = [await addEnd(topology, 'w1', first, mtu), await addEnd(topology, 'w2', second, mtu)] as const
    if (name === 'plain') await Promise.all([routePlain(first, second), routePlain(second, first)])
    else await Promise.all([routeTunnel(first, second), routeTunnel(second, first)])
    if (name === 'hand-made') await Promise.all(topology.hosts.map(masquerade))
    await until({ what: `${name} to carry` }, async () => ((await isReachable(workloads[0], second.ip)) ? true : undefined))
    const receiver = await startReceiver(workloads[1])
    return {
      name,
      from: workloads[0],
      address: second.ip,
      tunnelFacts: () => (name === 'plain' ? Promise.resolve(undefined) : tunnelFacts(near, 'vx0')),
      loopDelaysMs: async () => [],
      close: async () => {
        receiver.kill('SIGKILL')
        await topology.close()
      },
    }
  } catch (error) {
    await topology.close()
    throw error
  }
}

interface End {
  readonly host: LabHost
  readonly ip: string
  readonly tunnelIp: string
  readonly mac: string
}

async function batch(namespace: Namespace, lines: readonly string[]): Promise<void> {
  await run(MACHINE, ['ip', '-n', namespace.name, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

/** A workload on a host: a pair of interfaces, the address on the inner end, a route to it on the host. */
async function addEnd(topology: Topology, name: string, { host, ip }: End, mtu: number): Promise<Namespace> {
  const workload = await topology.addNamespace(name)
  await setSysctls(host, ['net.ipv4.ip_forward=1'])
  await batch(host, [
    `link add v0 mtu ${mtu} address ee:ee:ee:ee:ee:ee type veth peer name eth0 mtu ${mtu} netns ${workload.name}`,
    'link set v0 up',
    `route add ${ip}/32 dev v0 scope link`,
  ])
  await setSysctls(host, ['net.ipv4.conf.v0.proxy_arp=1', 'net.ipv4.neigh.v0.proxy_delay=0'])
  await batch(workload, [
    `addr add ${ip}/32 dev eth0`,
    'link set eth0 up',
    'route add 169.254.1.1 dev eth0',
    'route add default via 169.254.1.1',
  ])
  return workload
}

async function routePlain(here: End, there: End): Promise<void> {
  await batch(here.host, [`route add ${there.ip}/32 via ${there.host.ipv4} dev eth0`])
}

async function routeTunnel(here: End, there: End): Promise<void> {
  await batch(here.host, [
    `link add vx0 address ${here.mac} mtu ${VXLAN_MTU} type vxlan id 4096 dstport 4789 local ${here.host.ipv4} dev eth0 nolearning`,
    `addr add ${here.tunnelIp}/32 dev vx0`,
    'link set vx0 up',
    `neigh add ${there.tunnelIp} lladdr ${there.mac} dev vx0 nud permanent`,
    `route add ${there.ip}/32 via ${there.tunnelIp} dev vx0 onlink`,
  ])
  await run(here.host, ['bridge', 'fdb', 'append', there.mac, 'dev', 'vx0', 'dst', there.host.ipv4, 'self', 'permanent'])
}

async function masquerade(host: LabHost): Promise<void> {
  const rule = 'ip saddr 10.66.0.0/16 ip daddr != 10.66.0.0/16 masquerade'
  const lines = ['table ip by-hand {', 'chain postrouting {', 'type nat hook postrouting priority srcnat', rule, '}', '}', '']
  await run(host, ['nft', '-f', '-'], { input: lines.join('\n') })
}

async function startReceiver(place: Place): Promise<ChildProcess> {
  const receiver = start(place, ['iperf3', '-s'])
  receiver.unref()
  await until({ what: 'iperf3 to listen' }, async () => ((await run(place, ['ss', '-ltn'])).includes(':5201') ? true : undefined))
  return receiver
}

/** Everything of `ip -d link` and `ethtool -k` that is not a name, an index or an address. */
async function tunnelFacts(host: LabHost, link: string): Promise<Readonly<Record<string, string>>> {
  const [shown] = JSON.parse(await run(MACHINE, ['ip', '-n', host.name, '-d', '-j', 'link', 'show', 'dev', link])) as readonly [
    Record<string, unknown>,
  ]
  const facts = new Map<string, string>(flatten('', shown))
  for (const key of ['ifname', 'ifindex', 'address', 'linkinfo.info_data.local', 'linkinfo.info_data.local6']) facts.delete(key)
  const offloads = await run(host, ['ethtool', '-k', link])
  for (const [, name, state] of offloads.matchAll(/^\s*([\w-]+): (on|off)/gm)) facts.set(`offload ${name}`, state ?? '')
  return Object.fromEntries(facts)
}

function flatten(prefix: string, value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[prefix, JSON.stringify(value)]]
  return Object.entries(value).flatMap(([key, below]) => flatten(prefix === '' ? key : `${prefix}.${key}`, below))
}
