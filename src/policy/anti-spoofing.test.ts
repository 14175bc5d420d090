import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Namespace, until } from '../../test/support/nft-lab.ts'
import { type Pass, passIn } from '../../test/support/passing.ts'
import { anEndpoint, byFamily } from '../../test/support/planning.ts'
import { createPolicyLab, type PolicyLab, REACHED } from '../../test/support/policy-lab.ts'
import { loadNative } from '../kernel/native.ts'
import { withNetns } from '../kernel/netns.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { WorkloadEndpointSpec } from '../model/workload-endpoint.ts'
import { parseInterfaceAddress } from '../net/cidr.ts'
import { ipToBytes, parseIp } from '../net/ip.ts'
import { macToBytes, parseMac } from '../net/mac.ts'
import { SenderIndex } from '../workloads/senders.ts'
import { planFrame } from './frame.ts'

const test = suite('policy/anti-spoofing')
const { signal } = new AbortController()

/** The MAC that the lab gives to the neighbour at `mgyw1`. */
const MAC = parseMac('02:00:00:00:02:00')

interface Scene {
  readonly lab: PolicyLab
  readonly apply: (spec: Partial<WorkloadEndpointSpec>, workloadSourceSpoofing?: 'Any' | 'Disabled') => Promise<void>
  /** Where packets come to, each `[from, packet]`; undefined: nowhere. */
  readonly pass: Pass
}

/** A host that asks the workload at `mgyw1` who it is, and nothing else of anybody. */
async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const lab = createPolicyLab('spoof')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const apply: Scene['apply'] = async (spec, workloadSourceSpoofing) => {
    const senders = new SenderIndex()
    senders.use({ workloadSourceSpoofing })
    senders.set('w1', anEndpoint('w1', 'h1', REACHED.mgyw1, { interfaceName: 'mgyw1', ...spec }))
    const frame = planFrame({
      ...{ hosts: byFamily([]), externalHosts: [], vxlan: undefined, forwardOnlyOurs: false },
      ...{ workloadInterfaces: ['mgyw1*'], tunnelInterfaces: [], otherInterfaces: [] },
      senders: senders.senders(),
    })
    const put = new Map(frame.map((object) => [keyOf.policy(object), object]))
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

for (const [family, own, other, host, outside, prefix, inPrefix] of [
  ['IPv4', '10.65.0.2', '10.65.0.3', '192.0.2.1', '192.0.2.9', '198.51.100.0/24', '198.51.100.7'],
  ['IPv6', '[2001:db8:65::2]', '[2001:db8:65::3]', '[2001:db8:1::1]', '[2001:db8:1::9]', '2001:db8:99::/64', '[2001:db8:99::7]'],
] as const) {
  const from = (source: string, port = 1000, to: string = outside) => ['mgyw1', `udp ${source}:${port} > ${to}:53`] as const

  test(`${family}: a workload sends from its own address only, to the host too, with a MAC on record or without`, () =>
    withScene(async ({ lab, apply, pass }) => {
      const forged = [from(other, 1), from(host, 2), from(inPrefix, 3), from(other, 4, host)] as const
      // An IPv4 host takes nobody else for itself.
      const asHost = family === 'IPv4' ? undefined : 'eth0'
      assert.equal(await pass(from(own), ...forged), ['eth0', 'eth0', asHost, 'eth0', 'host'], 'without a check')
      for (const mac of [MAC, undefined]) {
        await apply(mac === undefined ? {} : { mac })
        assert.equal(await pass(from(own), ...forged, from(own, 5, host)), ['eth0', undefined, undefined, undefined, undefined, 'host'])
      }
      assert.match(lab.host.run('nft', 'list', 'chain', 'inet', 'margay', 'workload-sender-exceptions'), /counter packets 8 /)
    }))

  test(`${family}: a workload with a MAC on record sends with that one only`, () =>
    withScene(async ({ apply, pass }) => {
      await apply({ mac: MAC })
      assert.equal(await pass(from(own)), ['eth0'])
      await apply({ mac: parseMac('02:00:00:00:02:99') })
      assert.equal(await pass(from(own, 7)), [undefined])
    }))

  test(`${family}: prefixes that the record allows are allowed where FelixConfiguration allows that, and else nothing is`, () =>
    withScene(async ({ apply, pass }) => {
      const spec = { mac: MAC, allowSpoofedSourcePrefixes: [parseInterfaceAddress(prefix)] }
      await apply(spec, 'Any')
      assert.equal(await pass(from(own), from(inPrefix), from(other)), ['eth0', 'eth0', undefined])
      await apply(spec)
      assert.equal(await pass(from(own, 8), from(inPrefix, 8)), [undefined, undefined])
    }))
}

test('what a workload needs to come up goes on: duplicate address detection, neighbour discovery, MLD, DHCP', () =>
  withScene(async ({ lab, apply }) => {
    await apply({ mac: MAC })
    lab.host.run(
      'nft',
      `add table inet seen
       add chain inet seen in { type filter hook prerouting priority -290; }
       add rule inet seen in iifname mgyw1 ip6 saddr :: icmpv6 type nd-neighbor-solicit counter comment "dad"
       add rule inet seen in iifname mgyw1 ip6 saddr fe80::/10 icmpv6 type nd-neighbor-solicit counter comment "nd"
       add rule inet seen in iifname mgyw1 icmpv6 type { mld2-listener-report, mld-listener-report } counter comment "mld"
       add rule inet seen in iifname mgyw1 ip saddr 0.0.0.0 udp dport 67 counter comment "dhcp"
       add rule inet seen in iifname mgyw1 ip saddr 0.0.0.0 udp dport 68 counter comment "none"`,
    )
    const workload = lab.neighbours.mgyw1
    workload.run('nft', 'flush chain inet mute out')
    workload.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad; echo 1 > /proc/sys/net/ipv6/conf/eth0/dad_transmits')
    workload.ip('-6 addr add fe80::77/64 dev eth0', '-6 addr add 2001:db8:65::77/128 dev eth0')
    broadcast(workload.path, 67)
    broadcast(workload.path, 68)
    const count = (comment: string) => {
      const line = lab.host
        .run('nft', 'list', 'table', 'inet', 'seen')
        .split('\n')
        .find((one) => one.includes(`"${comment}"`))
      return Number(/packets (\d+)/.exec(line ?? '')?.[1])
    }
    await until('detection of duplicates', () => (count('dad') > 0 ? true : undefined))
    workload.run('sh', '-c', 'ping -6 -c 1 -W 1 fe80::55%eth0 || true')
    await until('neighbour discovery', () => (count('nd') > 0 ? true : undefined))
    await until('listener reports', () => (count('mld') > 0 ? true : undefined))
    assert.equal([count('dhcp'), count('none')], [1, 0])
  }))

test('by ARP a workload can put nobody into the neighbours of the host, and answer for nobody', () =>
  withScene(async ({ lab }) => {
    // What the daemon sets on each interface of a workload: `workloads/plan`.
    lab.host.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/mgyw1/rp_filter')
    const neighbours = () => lab.host.run('ip', '-4', 'neigh', 'show', 'dev', 'mgyw1').trim()
    const before = neighbours()
    assert.match(before, /^10\.65\.0\.2 lladdr 02:00:00:00:02:00 PERMANENT$/)
    const { mgyw1: workload } = lab.neighbours
    sendArp(workload, 1, '10.65.0.3')
    sendArp(workload, 2, '10.65.0.3')
    lab.host.run('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/conf/mgyw1/rp_filter')
    assert.is(neighbours(), before)
    // Without the host's check it would have been heard.
    sendArp(workload, 1, '10.65.0.3')
    await until('an entry for another', () => (neighbours().includes('10.65.0.3') ? true : undefined))
  }))

test.run()

/** From `mgyw1`: asks for the host (1), or answers it (2), in the name of an address. */
function sendArp(workload: Namespace, operation: 1 | 2, sender: string): void {
  const native = loadNative()
  const fd = withNetns(workload.path, () => native.socket(17, 3, 0x0608))
  try {
    const own = macToBytes(MAC).toString('hex')
    const header = `ffffffffffff${own}0806000108000604000${operation}`
    const frame = Buffer.from(`${header}${own}${ipToBytes(parseIp(sender)).toString('hex')}0200000001000a410001`, 'hex')
    const to = Buffer.alloc(20)
    to.writeUInt16LE(17, 0)
    to.writeUInt16BE(0x0806, 2)
    to.writeInt32LE(Number.parseInt(workload.run('ip', '-o', 'link', 'show', 'eth0'), 10), 4)
    assert.is(native.send(fd, frame, to), frame.length)
  } finally {
    native.close(fd)
  }
}

/** One UDP packet from nobody to everybody. */
function broadcast(netns: string, port: number): void {
  const native = loadNative()
  const fd = withNetns(netns, () => native.socket(2, 3, 255))
  try {
    assert.is(native.setsockopt(fd, 1, 6, 1), 0)
    const packet = Buffer.from(`4500001c000100004011000000000000ffffffff0044${port.toString(16).padStart(4, '0')}00080000`, 'hex')
    const to = Buffer.from('02000000ffffffff0000000000000000', 'hex')
    assert.is(native.send(fd, packet, to), packet.length)
  } finally {
    native.close(fd)
  }
}
