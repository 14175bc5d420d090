import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Pass, passIn } from '../../test/support/passing.ts'
import { anEndpoint, byFamily } from '../../test/support/planning.ts'
import { aHostEndpoint, aProfile } from '../../test/support/policies.ts'
import { createPolicyLab, type PolicyLab, REACHED } from '../../test/support/policy-lab.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { parseIp } from '../net/ip.ts'
import { PolicyEngine, type PolicyInput } from './engine.ts'
import { policySettings } from './felix-settings.ts'
import { planFrame } from './frame.ts'
import { type ImplicitInput, planImplicit } from './implicit.ts'

const test = suite('policy/implicit-packets')
const { signal } = new AbortController()

interface Rules {
  readonly felix?: FelixConfigurationSpec
  readonly implicit?: Partial<ImplicitInput>
  readonly resources?: readonly PolicyInput[]
}

interface Scene {
  readonly lab: PolicyLab
  readonly apply: (rules: Rules) => Promise<void>
  /** Where packets come to, each `[from, packet]`; undefined: nowhere. */
  readonly pass: Pass
}

/** The known host of the network. */
const HOSTS = ['192.0.2.9', '2001:db8:1::9'].map(parseIp)

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const lab = createPolicyLab('impl')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const apply: Scene['apply'] = async ({ felix = {}, implicit = {}, resources = [] }) => {
    const input: ImplicitInput = {
      ...{ vxlanPort: undefined, hasIpip: false, wireguardPorts: {}, etcd: { endpoints: [], ownPorts: [] }, externalHosts: [] },
      ...implicit,
    }
    const { rules, sets } = planImplicit(input)
    const frame = planFrame({
      ...{ hosts: byFamily(HOSTS), externalHosts: input.externalHosts, vxlan: undefined, forwardOnlyOurs: false },
      ...{ workloadInterfaces: ['mgy*'], tunnelInterfaces: [], otherInterfaces: [] },
      ipip: input.hasIpip ? { isAllowedFromWorkloads: felix.allowIPIPPacketsFromWorkloads === true } : undefined,
    })
    const settings = { ...policySettings(felix), workloadInterfaces: ['mgy*'], implicit: rules, markBit: 0x1000_0000 }
    const interfaces = ['eth0', 'eth1'].map((name) => ({ name, addresses: [] }))
    const engine = new PolicyEngine({ node: 'h1', interfaces, settings })
    for (const one of resources) engine.set(one.kind, `${one.metadata.namespace ?? ''}/${one.metadata.name}`.replace(/^\//, ''), one)
    const steps = engine.flush()
    while (steps.next().done !== true);
    const put = new Map([...frame, ...sets, ...engine.objects.values()].map((object) => [keyOf.policy(object), object]))
    assert.equal([...(await table.commit({ put, remove: new Map() }, signal))].map(String), [])
  }
  const pass = passIn(lab)
  try {
    await work({ lab, apply, pass })
  } finally {
    table.close()
    lab.close()
  }
}

const open = aProfile('open', { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] })
const workload = (link: 'mgyw1' | 'mgyw2', ...profiles: readonly string[]) =>
  anEndpoint(link, 'h1', REACHED[link], { interfaceName: link, profiles })
/** No failsafe is left, and no policy lets anything through. */
const noFailsafes: FelixConfigurationSpec = { failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [] }
const closedHost = aHostEndpoint('eth0', { interfaceName: 'eth0' })
const peer = (ip: string, port: number) => ({ ip: parseIp(ip), port })

test('a closed workload asks its gateway for names and addresses, and nothing else of the host', () =>
  withScene(async ({ lab, apply, pass }) => {
    lab.host.ip('addr add 169.254.1.1/32 dev mgyw1', '-6 addr add fe80::1/64 dev mgyw1 nodad')
    for (const endpoint of [workload('mgyw1'), workload('mgyw1', 'open')]) {
      await apply({ resources: [open, endpoint, workload('mgyw2')] })
      const from = (packet: string) => ['mgyw1', packet] as const
      assert.equal(
        await pass(
          from('udp 10.65.0.2:1000 > 169.254.1.1:53'),
          from('tcp 10.65.0.2:1000 > 169.254.1.1:53'),
          from('udp 10.65.0.2:68 > 169.254.1.1:67'),
          from('udp [2001:db8:65::2]:1000 > [fe80::1]:53'),
          from('udp [2001:db8:65::2]:546 > [fe80::1]:547'),
        ),
        ['host', 'host', 'host', 'host', 'host'],
      )
      assert.equal(
        await pass(
          from('udp 10.65.0.2:1000 > 169.254.1.1:54'),
          from('udp 10.65.0.2:1000 > 192.0.2.1:53'),
          from('tcp [2001:db8:65::2]:1000 > [fe80::1]:80'),
          from('udp [2001:db8:65::2]:1000 > [2001:db8:1::1]:53'),
        ),
        [undefined, undefined, undefined, undefined],
      )
    }
  }))

test('workloads send no tunnel packets, wherever to and whatever allows it, unless FelixConfiguration says so', () =>
  withScene(async ({ apply, pass }) => {
    const resources = [open, workload('mgyw1', 'open'), workload('mgyw2')]
    const sent = (port: number) =>
      [
        ['mgyw1', `udp 10.65.0.2:${port} > 192.0.2.9:4789`],
        ['mgyw1', `udp [2001:db8:65::2]:${port} > [2001:db8:1::9]:4789`],
        ['mgyw1', `4 10.65.0.2 > 192.0.2.${port}`],
        ['mgyw1', `udp 10.65.0.2:${port} > 192.0.2.9:4790`],
      ] as const
    await apply({ resources })
    assert.equal(await pass(...sent(9)), [undefined, undefined, undefined, 'eth0'])
    await apply({ resources, felix: { allowVXLANPacketsFromWorkloads: true, allowIPIPPacketsFromWorkloads: true } })
    assert.equal(await pass(...sent(10)), ['eth0', 'eth0', 'eth0', 'eth0'])
  }))

test('IP-in-IP is taken from hosts of the network only, where a pool uses it, and passes a closed host endpoint', () =>
  withScene(async ({ apply, pass }) => {
    const sent = [
      ['eth0', '4 192.0.2.9 > 192.0.2.1'],
      ['eth0', '4 192.0.2.10 > 192.0.2.1'],
    ] as const
    assert.equal(await pass(...sent), ['host', 'host'])
    await apply({ implicit: { hasIpip: true } })
    assert.equal(await pass(...sent), ['host', undefined])
    await apply({ implicit: { hasIpip: true }, felix: noFailsafes, resources: [closedHost] })
    assert.equal(await pass(...sent, ['host', '4 192.0.2.1 > 192.0.2.9']), ['host', undefined, 'eth0'])
    await apply({ felix: noFailsafes, resources: [closedHost] })
    assert.equal(await pass(...sent), [undefined, undefined])
  }))

test('on a closed host endpoint without failsafes hosts and etcd are reached, by the ports and in the directions that they need', () =>
  withScene(async ({ apply, pass }) => {
    const implicit: Partial<ImplicitInput> = {
      wireguardPorts: { 4: 51_820, 6: 51_821 },
      bgp: { port: 179, hasHosts: true, peers: [peer('192.0.2.10', 1790)] },
      etcd: { endpoints: [peer('192.0.2.10', 2379), peer('2001:db8:1::10', 2379)], ownPorts: [23790] },
    }
    await apply({ implicit, felix: noFailsafes, resources: [closedHost] })
    assert.equal(
      await pass(
        ['eth0', 'udp 192.0.2.9:51820 > 192.0.2.1:51820'],
        ['eth0', 'udp [2001:db8:1::9]:51821 > [2001:db8:1::1]:51821'],
        ['eth0', 'tcp 192.0.2.9:1000 > 192.0.2.1:179'],
        ['eth0', 'tcp 192.0.2.10:1000 > 192.0.2.1:179'],
        ['eth0', 'udp 192.0.2.10:1000 > 192.0.2.1:3784'],
        ['eth0', 'tcp [2001:db8:1::9]:1000 > [2001:db8:1::1]:23790'],
        ['host', 'tcp 192.0.2.1:1000 > 192.0.2.10:2379'],
        ['host', 'tcp [2001:db8:1::1]:1000 > [2001:db8:1::10]:2379'],
        ['host', 'tcp 192.0.2.1:1001 > 192.0.2.10:1790'],
        ['host', 'udp 192.0.2.1:1000 > 192.0.2.9:4784'],
      ),
      ['host', 'host', 'host', 'host', 'host', 'host', 'eth0', 'eth0', 'eth0', 'eth0'],
    )
    assert.equal(
      await pass(
        // From others, to others, in the other direction, of the other family.
        ['eth0', 'udp 192.0.2.10:51820 > 192.0.2.1:51820'],
        ['eth0', 'udp [2001:db8:1::9]:1000 > [2001:db8:1::1]:51820'],
        ['eth0', 'tcp [2001:db8:1::10]:1000 > [2001:db8:1::1]:179'],
        ['eth0', 'tcp 192.0.2.10:1000 > 192.0.2.1:23790'],
        ['eth0', 'tcp 192.0.2.10:1000 > 192.0.2.1:2379'],
        ['host', 'tcp 192.0.2.1:1000 > 192.0.2.9:2379'],
        ['host', 'tcp 192.0.2.1:1000 > 192.0.2.10:179'],
        ['host', 'tcp 192.0.2.1:1002 > 192.0.2.9:23790'],
      ),
      [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined],
    )
  }))

test.run()
