import { setTimeout as rest } from 'node:timers/promises'
import { until } from '../scripts/lab/command.ts'
import type { LabDaemon } from '../scripts/lab/daemon.ts'
import { openLab } from '../scripts/lab/lab.ts'
import { readUsage } from '../scripts/lab/probe.ts'
import { say } from '../scripts/lab/screen.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from '../src/kernel/netlink/socket.ts'
import { formatIp, ipToNumber, parseIp } from '../src/net/ip.ts'
import { apply, globalPolicy, remove } from '../test/support/policed.ts'
import { countTracked, type TrackedFlow, trackFlows } from '../test/support/tracked.ts'
import { readBenchArgs, report } from './report.ts'
import { median } from './statistics.ts'

const PORT = 5432
/** Of each address so many connections. */
const PORTS = 10

/** How fast flows end that a change denies, and what changes cost a host with many flows that they do not deny. */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  const lab = await openLab({
    hosts: [0],
    etcd: 'plain',
    mode: 'vxlan',
    config: { pools: { ipv4: { cidr: '10.200.0.0/16' }, ipv6: { cidr: 'none' } } },
  })
  const figures: Record<string, number> = {}
  try {
    const daemon = lab.daemon('h1')
    await daemon.start()
    const workload = await lab.addWorkload('h1', 'w1', ['--label', 'role=db'])
    await lab.addWorkload('h1', 'w2', ['--label', 'role=other'])
    const address = parseIp(workload.addresses.find((one) => !one.includes(':')) ?? '')
    for (const count of options.isQuick ? [50_000] : [1000, 10_000, 50_000]) {
      const endsMs: number[] = []
      const cpuMs: number[] = []
      for (let round = 0; round < (options.isQuick ? 3 : 7); round++) {
        const cut = await cutAll(daemon, flowsTo(address, count))
        endsMs.push(cut.endsMs)
        cpuMs.push(cut.cpuMs)
        say(`${count} flows ended after ${Math.round(cut.endsMs)} ms, ${Math.round(cut.cpuMs)} ms of processor time`)
      }
      figures[`ends_${count}_p50_ms`] = median(endsMs)
      figures[`ends_${count}_max_ms`] = Math.max(...endsMs)
      figures[`ends_${count}_cpu_ms`] = median(cpuMs)
    }
    await apply(daemon, friendsOnly, friends('198.51.100.0/24'))
    for (const count of [0, 100_000]) {
      trackFlows(daemon.host.path, flowsTo(address, count))
      for (const [name, change] of Object.entries(CHANGES)) {
        figures[`${name}_${count}_cpu_ms`] = await costOf(daemon, change, options.isQuick ? 6 : 20)
      }
    }
    const { loopDelayP999Ms } = await daemon.status()
    if (loopDelayP999Ms !== undefined) figures['loop_delay_p999_ms'] = loopDelayP999Ms
    await daemon.stop()
  } finally {
    await lab.close()
  }
  return report({ name: 'revoke', figures, ratios: {}, faults: [] }, options)
}

/** Two documents of which each takes the place of the other, again and again. */
type Change = readonly [object, object]

/** What follows from a change beside the verdict, a flow each of which goes on. Milliseconds of the daemon's processor time for one. */
async function costOf(daemon: LabDaemon, change: Change, rounds: number): Promise<number> {
  await apply(daemon, change[1])
  await rest(SETTLED_MS)
  const before = await readUsage(daemon.pid())
  for (let round = 0; round < rounds; round++) {
    await apply(daemon, change[round % 2 === 0 ? 0 : 1])
    await rest(SETTLED_MS)
  }
  return ((await readUsage(daemon.pid())).cpuMs - before.cpuMs) / rounds
}

/** So long after a change all that follows from it is done, and the next is not taken together with it. Milliseconds. */
const SETTLED_MS = 800

function friends(...nets: readonly string[]): object {
  return { kind: 'GlobalNetworkSet', metadata: { name: 'friends', labels: { friend: 'yes' } }, spec: { nets: ['198.18.0.0/15', ...nets] } }
}

function onlyFriends(...more: readonly object[]): object {
  const source = { selector: 'friend == "yes"' }
  return globalPolicy('only-friends', { selector: 'role == "db"', types: ['Ingress'], ingress: [{ action: 'Allow', source }, ...more] })
}

const friendsOnly = onlyFriends()

const CHANGES: Readonly<Record<string, Change>> = {
  // Every other change lets somebody in, which denies nobody.
  member: [friends('198.51.100.0/24', '203.0.113.7/32'), friends('198.51.100.0/24')],
  policy: [onlyFriends({ action: 'Allow', protocol: 'UDP' }), friendsOnly],
  other_policy: [
    globalPolicy('others', { selector: 'role == "other"', types: ['Ingress'], ingress: [{ action: 'Allow' }] }),
    globalPolicy('others', { selector: 'role == "other"', types: ['Ingress'], ingress: [{ action: 'Allow', protocol: 'TCP' }] }),
  ],
}

function flowsTo(destination: TrackedFlow['destination'], count: number): readonly TrackedFlow[] {
  // Addresses for benchmarks (RFC 2544).
  const first = ipToNumber(parseIp('198.18.0.0'))
  return Array.from({ length: count }, (_, i) => ({
    source: formatIp(4, first + BigInt(Math.floor(i / PORTS))),
    sourcePort: 40_000 + (i % PORTS),
    destination,
    destinationPort: PORT,
  }))
}

/** From when the rule is in force that denies them to the end of the last. */
async function cutAll(daemon: LabDaemon, flows: readonly TrackedFlow[]): Promise<{ readonly endsMs: number; readonly cpuMs: number }> {
  const { path } = daemon.host
  const others = countTracked(path)
  trackFlows(path, flows)
  const before = await readUsage(daemon.pid())
  const rules = new NetlinkSocket(NETLINK_NETFILTER, { netns: path, groups: NFTABLES })
  try {
    const applied = apply(daemon, noDb)
    await until({ what: 'the rule to be in force', everyMs: 2 }, () => (hears(rules) ? true : undefined))
    const startMs = performance.now()
    await until({ what: 'the flows to end', everyMs: 4, deadlineMs: 20_000 }, () => (countTracked(path) < others + OWN ? true : undefined))
    const endsMs = performance.now() - startMs
    await applied
    await rest(500)
    const { cpuMs } = await readUsage(daemon.pid())
    await remove(daemon, 'globalnetworkpolicy', 'no-db')
    await until({ what: 'what is remembered of them to go', everyMs: 500, deadlineMs: 30_000 }, async () =>
      (await daemon.status()).revocation?.remembered === 0 ? true : undefined,
    )
    return { endsMs, cpuMs: cpuMs - before.cpuMs }
  } finally {
    rules.close()
  }
}

/** The command line's and the daemon's own connections meanwhile are fewer. */
const OWN = 20
/** NFNLGRP_NFTABLES, as a mask. */
const NFTABLES = 1 << 6

function hears(socket: NetlinkSocket): boolean {
  let isHeard = false
  socket.drain(() => {
    isHeard = true
  })
  return isHeard
}

const noDb = globalPolicy('no-db', {
  selector: 'role == "db"',
  types: ['Ingress'],
  ingress: [{ action: 'Deny', protocol: 'TCP', destination: { ports: [PORT] } }, { action: 'Allow' }],
})
