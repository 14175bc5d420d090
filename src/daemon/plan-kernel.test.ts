import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, type Namespace } from '../../test/support/nft-lab.ts'
import { aFelix, anEndpoint, anUnderlay, someFacts, type TestView, threeHosts } from '../../test/support/planning.ts'
import { aProfile } from '../../test/support/policies.ts'
import { createKernel, type RealKernel } from '../kernel/kernel.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import type { TableName } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { IPPoolSpec } from '../model/ip-pool.ts'
import { Merger } from '../reconcile/merge.ts'
import { Reconciler } from '../reconcile/reconciler.ts'
import type { Facts } from './facts.ts'
import { planView } from './plan-view.ts'

const test = suite('daemon/plan-kernel')
const signal = new AbortController().signal

/** A host in a network namespace of its own, kept as `planView` wants it. */
class Host {
  readonly namespace: Namespace
  readonly workload: Namespace
  readonly kernel: RealKernel
  readonly facts: Facts
  readonly merger = new Merger()
  readonly reconciler: Reconciler
  readonly policy: NftablesTable

  constructor(number: number) {
    this.namespace = createNamespace(`plan${number}`)
    this.workload = createNamespace(`plan${number}w`)
    const netns = this.namespace.path
    this.policy = new NftablesTable({ netns, log: silentLogger })
    this.kernel = createKernel({ netns, policy: this.policy })
    this.reconciler = new Reconciler(this.kernel.tables, () => performance.now())
    this.facts = someFacts({
      node: `h${number}`,
      underlay: { 4: anUnderlay(`192.0.2.${number}`), 6: anUnderlay(`2001:db8::${number}`, '2001:db8::/64') },
      netns: new Map([[`default/w${number}`, this.workload.path]]),
    })
  }

  /** Applies a plan of the view; gives what the pass did and what the kernel refused. */
  async apply(view: TestView, over: Partial<Facts> = {}) {
    const dirty = new Map<TableName, Set<string>>()
    const plans = planView(view, { ...this.facts, ...over })
    for (const group of [...this.merger.groups()]) if (!plans.has(group)) this.merger.set(group, undefined, dirty)
    for (const [group, { part }] of plans) this.merger.set(group, part, dirty)
    this.reconciler.want(dirty)
    const done = await this.reconciler.pass(this.merger.tables, signal)
    const refused = this.reconciler.failures().map(({ table, key, error }) => `${table} ${key}: ${error.message}`)
    return { ...done, refused }
  }

  close(): void {
    this.kernel.close()
    this.workload.remove()
    this.namespace.remove()
  }
}

function twoHosts(): readonly [Host, Host] {
  const hosts = [new Host(1), new Host(2)] as const
  const [a, b] = hosts
  a.namespace.ip(`link add eth0 type veth peer name eth0 netns ${b.namespace.name}`)
  for (const [index, { namespace }] of hosts.entries()) {
    namespace.ip('link set eth0 up', `addr add 192.0.2.${index + 1}/24 dev eth0`, `addr add 2001:db8::${index + 1}/64 dev eth0 nodad`)
    // As strict as a host may be.
    namespace.run('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
  }
  return hosts
}

function aView(spec: Partial<IPPoolSpec>): TestView {
  return threeHosts(spec)
    .set('FelixConfiguration', 'default', aFelix('default', { programClusterRoutes: 'Enabled' }))
    .set('Profile', 'open', aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] }))
    .endpoint(anEndpoint('w1', 'h1', ['10.65.1.5', 'fd65::1:5'], { profiles: ['open'] }))
    .endpoint(anEndpoint('w2', 'h2', ['10.65.2.5', 'fd65::2:5'], { profiles: ['open'] }))
}

function pings(from: Host, target: string, size: number): boolean {
  try {
    from.workload.run('ping', '-c', '2', '-i', '0.05', '-W', '2', '-M', 'do', '-s', String(size), target)
    return true
  } catch {
    return false
  }
}

test('a real kernel takes the whole plan, reads it back the same, and carries packets of full size in every mode', async () => {
  const hosts = twoHosts()
  try {
    for (const vxlanMode of ['Always', 'CrossSubnet', 'Never', 'Always'] as const) {
      const view = aView({ vxlanMode })
      // Both hosts change before a packet is sent: what the switch itself loses is for the lab to measure.
      const over = { filteredUplinks: ['eth0'] }
      for (const host of hosts) assert.equal((await host.apply(view, over)).refused, [], `${host.facts.node} in ${vxlanMode}`)
      for (const host of hosts) {
        host.reconciler.distrust()
        assert.equal(await host.apply(view, over), { put: 0, removed: 0, refused: [] }, `${host.facts.node} in ${vxlanMode}, again`)
      }
      const mtu = { Always: [1450, 1430], CrossSubnet: [1450, 1430], Never: [1500, 1500] }[vxlanMode]
      const smallest = Math.min(...mtu)
      assert.ok(pings(hosts[0], '10.65.2.5', smallest - 28), `IPv4 in ${vxlanMode}`)
      assert.ok(pings(hosts[0], 'fd65::2:5', smallest - 48), `IPv6 in ${vxlanMode}`)
      assert.ok(pings(hosts[1], '10.65.1.0', 56) === (vxlanMode !== 'Never'), `the tunnel address in ${vxlanMode}`)
    }
  } finally {
    for (const host of hosts) host.close()
  }
})

test('a tunnel address outside of its host’s blocks is reached too', async () => {
  const hosts = twoHosts()
  try {
    const view = aView({ vxlanMode: 'Always' })
    const node = view.get('Node').get('h2')
    assert.ok(node)
    view.node({ ...node, spec: { ...node.spec, ipv4VXLANTunnelAddr: '10.65.77.1' as never } })
    for (const host of hosts) assert.equal((await host.apply(view)).refused, [])
    assert.ok(pings(hosts[0], '10.65.2.5', 56))
    assert.ok(pings(hosts[0], '10.65.77.1', 56))
  } finally {
    for (const host of hosts) host.close()
  }
})

test.run()
