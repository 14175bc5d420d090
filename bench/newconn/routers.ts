import { run } from '../../scripts/lab/command.ts'
import { NftablesTable } from '../../src/kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../../src/kernel/objects.ts'
import { silentLogger } from '../../src/log.ts'
import { parseIp } from '../../src/net/ip.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { DEFAULT_FAILSAFES } from '../../src/policy/failsafes.ts'
import { planFrame, TUNNEL_INTERFACES, WORKLOAD_INTERFACES } from '../../src/policy/frame.ts'
import { createNamespace, joinNamespaces, type Namespace } from '../../test/support/nft-lab.ts'
import { FELIX_PREFIX, renderFelixLike } from './felix-like.ts'
import { type Listener, listen } from './storm.ts'
import { asResources, type BenchWorld, CLIENT, PORT, SERVER } from './world.ts'

const MARGAY_PREFIX = 'mgy'

/** A client and a server with a router between them that has one of the rule sets. */
export interface Router {
  readonly name: string
  readonly client: Namespace
  readonly listener: Listener
  /** Rules in the kernel. */
  readonly rules: number
  close(): void
}

/** The three ways; each a router of its own, all there at once. */
export async function openRouters(world: BenchWorld): Promise<readonly Router[]> {
  const namespaces: Namespace[] = []
  try {
    return [
      await openRouter(namespaces, 'conntrack-only', FELIX_PREFIX, (router) => load(router, CONNTRACK_ONLY)),
      await openRouter(namespaces, 'felix-like', FELIX_PREFIX, (router) => load(router, renderFelixLike(world))),
      await openRouter(namespaces, 'margay', MARGAY_PREFIX, (router) => commitMargay(router, world)),
    ]
  } catch (error) {
    for (const one of namespaces) one.remove()
    throw error
  }
}

async function openRouter(
  namespaces: Namespace[],
  name: string,
  prefix: string,
  addRules: (router: Namespace) => Promise<void>,
): Promise<Router> {
  const add = (end: string) => {
    const made = createNamespace(`${name}-${end}`)
    namespaces.push(made)
    return made
  }
  const [client, router, server] = [add('client'), add('router'), add('server')]
  for (const [end, { link, ip, gateway }] of [
    [client, CLIENT],
    [server, SERVER],
  ] as const) {
    joinNamespaces(router, `${prefix}${link}`, end, 'eth0')
    router.ip(`addr add ${gateway}/24 dev ${prefix}${link}`)
    end.ip(`addr add ${ip}/24 dev eth0`, `route add default via ${gateway}`)
  }
  router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  await addRules(router)
  // Connections that were reset are forgotten soon: the table does not grow from round to round.
  router.run('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=1')
  client.run('sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65535')
  const listener = await listen(server.path, SERVER.ip, PORT)
  const rules = [...router.run('nft', '-a', 'list', 'ruleset').matchAll(/^\t\t.* # handle \d+$/gm)].length
  const close = () => {
    listener.close()
    for (const one of [client, router, server]) one.remove()
  }
  return { name, client, listener, rules, close }
}

const CONNTRACK_ONLY = `table inet conntrack-only { chain forward { type filter hook forward priority filter; policy accept;
  ct state established,related accept
}
}
`

async function load({ path }: Namespace, text: string): Promise<void> {
  await run({ enter: ['nsenter', `--net=${path}`, '--'] }, ['nft', '-f', '-'], { input: text })
}

async function commitMargay(router: Namespace, world: BenchWorld): Promise<void> {
  const table = new NftablesTable({ netns: router.path, log: silentLogger })
  try {
    const put = new Map(margayObjects(world).map((object) => [keyOf.policy(object), object]))
    const failures = await table.commit({ put, remove: new Map() }, new AbortController().signal)
    for (const error of failures.values()) throw error
  } finally {
    table.close()
  }
}

/** All that the daemon would put: the frame, and what the engine makes of the world. */
function margayObjects(world: BenchWorld): readonly NftObject[] {
  const engine = new PolicyEngine({
    node: 'h1',
    interfaces: [],
    settings: {
      workloadInterfaces: WORKLOAD_INTERFACES,
      endpointToHost: 'Drop',
      failsafes: DEFAULT_FAILSAFES,
      dropsInvalid: true,
      implicit: [],
      tunnels: [],
      markBit: 0x1000_0000,
      deny: 'drop',
    },
  })
  for (const resource of asResources(world, MARGAY_PREFIX)) {
    const { kind, metadata } = resource
    engine.set(kind, metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`, resource)
  }
  const problem = [...engine.problems.values()].at(0)
  if (problem !== undefined) throw new Error(problem)
  const frame = planFrame({
    hosts: { 4: new Set([parseIp('192.0.2.1'), parseIp('192.0.2.2')]), 6: new Set() },
    externalHosts: [],
    vxlan: { port: 4789, isAllowedFromWorkloads: false },
    forwardOnlyOurs: true,
    workloadInterfaces: WORKLOAD_INTERFACES,
    tunnelInterfaces: TUNNEL_INTERFACES,
    otherInterfaces: [],
  })
  const steps = engine.flush()
  for (;;) {
    if (steps.next().done) return [...frame, ...engine.objects.values()]
  }
}
