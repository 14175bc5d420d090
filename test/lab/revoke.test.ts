// at most 240 s
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { tryRun, until } from '../../scripts/lab/command.ts'
import type { LabDaemon } from '../../scripts/lab/daemon.ts'
import type { Connection } from '../../src/kernel/conntrack/connection.ts'
import { Conntrack } from '../../src/kernel/conntrack/conntrack.ts'
import type { EndedEvent, FlowLine } from '../../src/model/own/flows.ts'
import { parseIp } from '../../src/net/ip.ts'
import { IS_LONG, untilReached } from '../support/fault.ts'
import { openUdp } from '../support/nft-lab.ts'
import { apply, globalPolicy, hostEndpoint, remove, untilPort } from '../support/policed.ts'
import { succeeded, withLab } from '../support/scenario.ts'
import { listenTcp, type Site, type Stream, streamTcp, streamUdp, untilGoOn } from '../support/streams.ts'
import { connectTcp } from '../support/tcp.ts'
import { countTracked, trackFlows } from '../support/tracked.ts'

const test = suite('lab/revoke')

/** Within so long after a change flows that it denies must have ended; longer where other tests run at the same time. Milliseconds. */
const ENDS_MS = IS_LONG ? 1000 : 3000
const FAMILIES = [4, 6] as const
/** So many flows of each family. */
const MANY = 10_000
const UDP = 17

const noWeb = globalPolicy('no-web', {
  selector: 'role == "db"',
  types: ['Ingress'],
  ingress: [...['TCP', 'UDP'].map((protocol) => ({ action: 'Deny', protocol, destination: { ports: [80] } })), { action: 'Allow' }],
})

function siteOf(addresses: readonly string[], namespace: Site['namespace'], family: 4 | 6): Site {
  return { namespace, address: addresses.find((one) => one.includes(':') === (family === 6)) ?? '' }
}

/** Waits until these have got nothing for as long as a control has got 50 times something; gives when each had its last, since the change. */
async function untilQuiet(streams: readonly Stream[], control: Stream, changedMs: number): Promise<readonly string[]> {
  const counts = () => streams.map((stream) => stream.received())
  let [before, start] = [counts(), control.received()]
  await until({ what: 'streams to end', deadlineMs: 20_000, everyMs: 20 }, async () => {
    if (counts().some((count, i) => count !== before[i])) [before, start] = [counts(), control.received()]
    return control.received() - start >= 50 ? true : undefined
  })
  const late = streams.filter((stream) => stream.lastMs() - changedMs > ENDS_MS)
  return late.map((stream) => `${stream.name} went on for ${Math.round(stream.lastMs() - changedMs)} ms`)
}

/** What is told of flows that were ended. */
async function endedOf(daemon: LabDaemon): Promise<readonly EndedEvent[]> {
  const stdout = succeeded(await daemon.margay(['flows', '--dropped', '-o', 'json']))
  const lines = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as FlowLine]))
  return lines.filter((line) => line.type === 'ended')
}

async function hasTombstones({ host }: LabDaemon): Promise<boolean> {
  return succeeded(await tryRun(host, ['nft', 'list', 'table', 'inet', 'margay'])).includes('chain ended-forward')
}

test('flows of workloads that a change denies end within a second, whoever sends; others go on, and allowed again they begin at once', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const client = await lab.addWorkload('h1', 'client')
    const servers = [
      await lab.addWorkload('h1', 'near', ['--label', 'role=db']),
      await lab.addWorkload('h2', 'far', ['--label', 'role=db']),
    ]
    for (const server of servers) for (const family of FAMILIES) await untilReached(client, server, family)
    const [streams, controls, closers]: [Stream[], Stream[], (() => void)[]] = [[], [], []]
    try {
      for (const [i, server] of servers.entries()) {
        for (const family of FAMILIES) {
          const from = siteOf(client.addresses, client.namespace, family)
          const to = { ...siteOf(server.addresses, server.namespace, family), port: 80 }
          const [web, other] = [listenTcp(to.namespace, to.address, 80), listenTcp(to.namespace, to.address, 81)]
          closers.push(
            () => web.close(),
            () => other.close(),
          )
          const port = 41_000 + i * 10
          streams.push(await streamTcp('push', from, port, to, web), await streamTcp('pull', from, port + 1, to, web))
          streams.push(await streamTcp('echo', from, port + 2, to, web), await streamUdp(from, port + 3, to))
          controls.push(await streamTcp('echo', from, port + 4, { ...to, port: 81 }, other))
        }
      }
      closers.push(...[...streams, ...controls].map((stream) => () => stream.close()))
      const [control] = controls
      if (control === undefined) throw new Error('no control')
      await apply(lab.daemon('h1'), noWeb)
      const changedMs = performance.now()
      assert.equal(await untilQuiet(streams, control, changedMs), [])
      // Node tells an end before the reset, if a write has met that first.
      const untold = streams.filter((stream) => stream.name.startsWith('TCP') && stream.fate() === undefined)
      assert.equal(
        untold.map(({ name }) => name),
        [],
      )
      await untilGoOn(controls)
      for (const host of ['h1', 'h2']) {
        const { revocation } = await lab.daemon(host).status()
        assert.equal(Object.keys(revocation?.ended ?? {}).sort(), [
          'GlobalNetworkPolicy no-web ingress rule 0',
          'GlobalNetworkPolicy no-web ingress rule 1',
        ])
      }
      const told = (await endedOf(lab.daemon('h1'))).filter(({ destination }) => servers[0]?.addresses.includes(destination))
      assert.equal(
        [
          ...new Set(
            told.map(({ direction, endpoint, decider, protocol }) => `${protocol} ${direction} ${endpoint} ${JSON.stringify(decider)}`),
          ),
        ].sort(),
        ['TCP', 'UDP'].map((protocol, rule) => {
          const decider = { by: 'policy', kind: 'GlobalNetworkPolicy', name: 'no-web', tier: 'default', rule, action: 'Deny' }
          return `${protocol} ingress default/near ${JSON.stringify(decider)}`
        }),
      )
      assert.equal(told.length, 8, 'three of TCP and one of UDP in each family')
      for (const stream of streams) stream.close()
      assert.ok(await hasTombstones(lab.daemon('h1')))
      await remove(lab.daemon('h2'), 'globalnetworkpolicy', 'no-web')
      for (const server of servers) {
        for (const family of FAMILIES) {
          const [from, to] = [siteOf(client.addresses, client.namespace, family), siteOf(server.addresses, server.namespace, family)]
          const connect = () => connectTcp(from.namespace, from.address, 41_000 + servers.indexOf(server) * 10, to.address, 80)
          // Whoever is told that the change is applied may be faster than what follows from it.
          const again = await until({ what: 'a new flow', deadlineMs: ENDS_MS, everyMs: 20 }, () => connect().catch(() => undefined))
          again.socket.destroy()
        }
      }
      const areGone = async () => ((await hasTombstones(lab.daemon('h1'))) ? undefined : true)
      await until({ what: 'chains of ended flows to go', deadlineMs: 15_000, everyMs: 20 }, areGone)
    } finally {
      for (const close of closers) close()
    }
  })
})

test('flows of a host are tolerated by a host endpoint that comes, also by the next daemon, and end with what denies them later', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [near, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const closers: (() => void)[] = []
    const streams: Stream[] = []
    try {
      for (const family of FAMILIES) {
        const [from, to] = [far, near].map(({ host }) => ({ namespace: host, address: family === 4 ? host.ipv4 : host.ipv6 }))
        if (from === undefined || to === undefined) throw new Error('no hosts')
        const listener = listenTcp(to.namespace, to.address, 80)
        closers.push(() => listener.close())
        streams.push(
          await streamTcp('echo', from, 42_000, { ...to, port: 80 }, listener),
          await streamTcp('pull', from, 42_001, { ...to, port: 80 }, listener),
        )
      }
      closers.push(...streams.map((stream) => () => stream.close()))
      const ssh = globalPolicy('ssh', {
        selector: 'host == "yes"',
        types: ['Ingress'],
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [22] } }],
      })
      await apply(far, hostEndpoint('h1-eth0', { interfaceName: 'eth0' }))
      await untilPort(far.host, near.host.ipv4, 81, 'closed')
      await untilGoOn(streams)
      await until({ what: 'tolerated flows', deadlineMs: 15_000, everyMs: 20 }, async () => {
        const { revocation } = await near.status()
        if (revocation?.tolerated !== streams.length) throw new Error(JSON.stringify(revocation))
        return true
      })
      await apply(far, ssh)
      await untilGoOn(streams)
      await near.stop('SIGKILL')
      await near.start()
      await untilGoOn(streams)
      const web = globalPolicy('web', {
        selector: 'host == "yes"',
        types: ['Ingress'],
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }],
      })
      await apply(far, web)
      await until({ what: 'nothing tolerated', deadlineMs: 15_000, everyMs: 20 }, async () =>
        (await near.status()).revocation?.tolerated === 0 ? true : undefined,
      )
      await untilGoOn(streams)
      await remove(far, 'globalnetworkpolicy', 'web')
      await until({ what: 'resets', deadlineMs: 15_000, everyMs: 20 }, async () =>
        streams.every((stream) => stream.fate() !== undefined) ? true : undefined,
      )
    } finally {
      for (const close of closers) close()
    }
  })
})

test('tens of thousands of flows that a change denies end within a second, and those beside them stay', async () => {
  await withLab({ hosts: [0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const server = await lab.addWorkload('h1', 'server', ['--label', 'role=db'])
    for (const family of FAMILIES) {
      const { address } = siteOf(server.addresses, server.namespace, family)
      const from = (i: number) => parseIp(family === 4 ? `198.18.${i >> 8}.${i & 255}` : `2001:db8:18::${i.toString(16)}`)
      const flows = Array.from({ length: MANY }, (_, i) => ({
        ...{ source: from(i >> 3), sourcePort: 40_000 + (i & 7) },
        ...{ destination: parseIp(address), destinationPort: 80 + (i % 20 === 0 ? 1 : 0) },
      }))
      trackFlows(daemon.host.path, flows)
    }
    const conntrack = new Conntrack({ netns: daemon.host.path })
    try {
      const count = async (port: number) =>
        (await conntrack.list(new AbortController().signal, ({ original }) => original.destinationPort === port)).length
      const beside = await count(81)
      assert.is(beside, MANY / 10)
      await apply(daemon, noWeb)
      const changedMs = performance.now()
      await until({ what: 'the flows to end', deadlineMs: 20_000, everyMs: 20 }, () =>
        countTracked(daemon.host.path) < MANY / 5 ? true : undefined,
      )
      const tookMs = performance.now() - changedMs
      assert.ok(tookMs < ENDS_MS, `took ${Math.round(tookMs)} ms`)
      assert.equal([await count(80), await count(81)], [0, beside])
      assert.is((await daemon.status()).revocation?.ended['GlobalNetworkPolicy no-web ingress rule 0'], 2 * MANY - beside)
    } finally {
      conntrack.close()
    }
  })
})

interface Endpoints {
  readonly items: readonly { readonly metadata: { readonly name: string }; readonly spec: { readonly workload?: string } }[]
}

/** The ids of the connections with one of these addresses, of workloads of a host. */
async function idsOf({ host }: LabDaemon, addresses: readonly string[]): Promise<readonly number[]> {
  const conntrack = new Conntrack({ netns: host.path })
  try {
    const isOf = ({ original, reply }: Connection) =>
      [original, reply].some(({ source, destination }) => addresses.includes(source) || addresses.includes(destination))
    const all = await conntrack.list(new AbortController().signal, isOf)
    return all
      .filter(({ original }) => original.protocol === UDP)
      .map(({ id }) => id)
      .sort()
  } finally {
    conntrack.close()
  }
}

test('a workload is not reached by what was established with one before that had its address; others, and another daemon, change nothing', async () => {
  const config = { policy: { revokeEstablished: false } }
  await withLab({ hosts: [0], etcd: 'plain', mode: 'vxlan', config }, async (lab) => {
    const daemon = lab.daemon('h1')
    const [client, gone, stays] = [
      await lab.addWorkload('h1', 'client'),
      await lab.addWorkload('h1', 'gone'),
      await lab.addWorkload('h1', 'stays'),
    ]
    const streams: Stream[] = []
    try {
      for (const { addresses, namespace } of [gone, stays]) {
        for (const family of FAMILIES) {
          const from = siteOf(client.addresses, client.namespace, family)
          streams.push(await streamUdp(from, 44_000 + streams.length, { ...siteOf(addresses, namespace, family), port: 80 }))
        }
      }
      const [before, others] = [await idsOf(daemon, gone.addresses), await idsOf(daemon, stays.addresses)]
      assert.equal([before.length, others.length], [2, 2])
      await daemon.stop('SIGKILL')
      await daemon.start()
      // A pass that looks at endpoints.
      await lab.addWorkload('h1', 'later')
      assert.equal([await idsOf(daemon, gone.addresses), await idsOf(daemon, stays.addresses)], [before, others])
      succeeded(await daemon.margay(['workload', 'rm', 'gone']))
      const areForgotten = (known: readonly number[], addresses: readonly string[]) =>
        until({ what: `connections of ${addresses} to be forgotten`, deadlineMs: 15_000, everyMs: 20 }, async () =>
          (await idsOf(daemon, addresses)).some((id) => known.includes(id)) ? undefined : true,
        )
      await areForgotten(before, gone.addresses)
      assert.equal(await idsOf(daemon, stays.addresses), others)
      await untilGoOn(streams.slice(2))
      await apply(daemon, noWeb)
      const heir = await lab.addWorkload('h1', 'heir', ['--label', 'role=db', ...gone.addresses.flatMap((ip) => ['--ip', ip])])
      const heard = FAMILIES.map((family) => {
        const { namespace, address } = siteOf(heir.addresses, heir.namespace, family)
        return openUdp(namespace, address, 80)
      })
      await untilGoOn(streams.slice(2))
      assert.equal(
        heard.map((socket) => socket.receive()),
        [undefined, undefined],
      )
      for (const socket of heard) socket.close()
      // One that goes while no daemon runs.
      await daemon.stop('SIGKILL')
      const list = JSON.parse(succeeded(await daemon.margay(['get', 'workloadendpoints', '-o', 'json']))) as Endpoints
      const name = list.items.find(({ spec }) => spec.workload === 'stays')?.metadata.name ?? ''
      succeeded(await daemon.margay(['delete', 'workloadendpoint', name]))
      assert.equal(await idsOf(daemon, stays.addresses), others)
      await daemon.start()
      await areForgotten(others, stays.addresses)
    } finally {
      for (const stream of streams) stream.close()
    }
  })
})

test('translated flows go on where that is configured, are tolerated when it is not any more, and end by a change while the daemon was dead', async () => {
  const config = { policy: { revokeEstablished: false } }
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan', config }, async (lab) => {
    const [near, far] = [lab.daemon('h1'), lab.daemon('h2')]
    const server = await lab.addWorkload('h1', 'server', ['--label', 'role=db'])
    const closers: (() => void)[] = []
    const streams: Stream[] = []
    const untilTolerated = (count: number) =>
      until({ what: `${count} tolerated flows`, deadlineMs: 15_000, everyMs: 20 }, async () =>
        (await near.status()).revocation?.tolerated === count ? true : undefined,
      )
    try {
      for (const family of FAMILIES) {
        const inside = siteOf(server.addresses, server.namespace, family)
        const [from, outside] = [far, near].map(({ host }) => ({ namespace: host, address: family === 4 ? host.ipv4 : host.ipv6 }))
        if (from === undefined || outside === undefined) throw new Error('no hosts')
        const [table, target] = family === 4 ? ['ip', `${inside.address}:80`] : ['ip6', `[${inside.address}]:80`]
        const rules = `add table ${table} t; add chain ${table} t c { type nat hook prerouting priority -100; }; add rule ${table} t c tcp dport 8080 dnat to ${target}`
        succeeded(await tryRun(near.host, ['nft', rules]))
        const listener = listenTcp(inside.namespace, inside.address, 80)
        closers.push(() => listener.close())
        for (const [i, kind] of (['push', 'pull', 'echo'] as const).entries()) {
          streams.push(await streamTcp(kind, from, 43_000 + i, { ...outside, port: 8080 }, listener))
        }
      }
      closers.push(...streams.map((stream) => () => stream.close()))
      await apply(far, noWeb)
      await untilPort(far.host, near.host.ipv4, 8080, 'closed')
      await untilGoOn(streams)
      assert.equal((await near.status()).revocation, { isWanted: false, ended: {}, tolerated: 0, remembered: 0 })
      const path = join(near.host.folder, 'etc/config.json')
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), policy: { revokeEstablished: true } }))
      succeeded(await near.margay(['reload']))
      await untilTolerated(streams.length)
      await untilGoOn(streams)
      await remove(far, 'globalnetworkpolicy', 'no-web')
      await untilTolerated(0)
      await near.stop('SIGKILL')
      succeeded(await far.margay(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'projectcalico.org/v3', ...noWeb })))
      await near.start()
      const areReset = async () => (streams.every((stream) => stream.fate() !== undefined) ? true : undefined)
      await until({ what: 'resets', deadlineMs: 15_000, everyMs: 20 }, areReset)
    } finally {
      for (const close of closers) close()
    }
  })
})

test.run()
