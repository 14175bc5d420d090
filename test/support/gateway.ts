import type * as uvu from 'uvu'
import { MACHINE, run } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import { type Lab, openLab } from '../../scripts/lab/lab.ts'
import { type Namespace, setSysctls } from '../../scripts/lab/topology.ts'

/**
 * A host that is the gateway of a network behind it:
 *
 * ```
 *   outside ── 192.0.2.0/24, 2001:db8:0::/64 ── eth0  h1  lan0 ── 203.0.113.0/24, 2001:db8:9::/64 ── inside
 *    .254 (the lab's router)                              .1                                        .2
 * ```
 */
export interface Gateway {
  readonly lab: Lab
  /** Of host h1. */
  readonly daemon: LabDaemon
  readonly outside: Namespace
  readonly inside: Namespace
  /** Addresses of each, of both families: the gateway's as seen from outside and from inside. */
  readonly addresses: Readonly<Record<'outside' | 'gatewayOutside' | 'gatewayInside' | 'inside', readonly string[]>>
}

/** Works with a gateway whose daemon runs, and that forwarded before margay came. */
export async function withGateway(action: (gateway: Gateway) => Promise<void>): Promise<void> {
  const gateway = await openGateway()
  try {
    await action(gateway)
  } finally {
    await gateway.lab.close()
  }
}

/** One gateway for all tests of a suite; what one leaves there must not be in the way of the others. */
export function shareGateway(test: uvu.Test): (action: (gateway: Gateway) => Promise<void>) => Promise<void> {
  let gateway: Gateway | undefined
  test.after(async () => gateway?.lab.close())
  return async (action) => {
    gateway ??= await openGateway()
    await action(gateway)
  }
}

async function openGateway(): Promise<Gateway> {
  const uplink = { method: 'interface=^eth0$' }
  const config = { address: { ipv4: uplink, ipv6: uplink } }
  const lab = await openLab({ hosts: [0], etcd: 'plain', mode: 'vxlan', config })
  try {
    const daemon = lab.daemon('h1')
    const { host } = daemon
    const inside = await addInside(lab, host)
    await setSysctls(host, ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'])
    await daemon.start()
    const addresses = {
      outside: ['192.0.2.254', '2001:db8::fe'],
      gatewayOutside: [host.ipv4, host.ipv6],
      gatewayInside: ['203.0.113.1', '2001:db8:9::1'],
      inside: ['203.0.113.2', '2001:db8:9::2'],
    }
    return { lab, daemon, outside: lab.topology.router, inside, addresses }
  } catch (error) {
    await lab.close()
    throw error
  }
}

async function addInside(lab: Lab, host: Namespace & { readonly ipv4: string; readonly ipv6: string }): Promise<Namespace> {
  const inside = await lab.topology.addNamespace('inside')
  await setSysctls(inside, ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'])
  const { router } = lab.topology
  const lines = [
    [host, `link add lan0 type veth peer name eth0 netns ${inside.name}`],
    [host, 'addr add 203.0.113.1/24 dev lan0'],
    [host, 'addr add 2001:db8:9::1/64 dev lan0 nodad'],
    [host, 'link set lan0 up'],
    [inside, 'addr add 203.0.113.2/24 dev eth0'],
    [inside, 'addr add 2001:db8:9::2/64 dev eth0 nodad'],
    [inside, 'link set eth0 up'],
    [inside, 'route add default via 203.0.113.1'],
    [inside, '-6 route add default via 2001:db8:9::1'],
    [router, `route add 203.0.113.0/24 via ${host.ipv4}`],
    [router, `-6 route add 2001:db8:9::/64 via ${host.ipv6}`],
  ] as const
  for (const [{ name }, line] of lines) await run(MACHINE, ['ip', '-n', name, ...line.split(' ')])
  return inside
}
