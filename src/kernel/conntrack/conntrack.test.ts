import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, joinNamespaces, type Namespace, openUdp, until } from '../../../test/support/nft-lab.ts'
import { trackFlows } from '../../../test/support/tracked.ts'
import { parseIp } from '../../net/ip.ts'
import { type Connection, isAssured, isReplied, isTranslated, type Tuple } from './connection.ts'
import { Conntrack } from './conntrack.ts'

const test = suite('kernel/conntrack')
const { signal } = new AbortController()

/** So many that the kernel is to sort out those that are wanted, of two addresses too. */
const OTHERS = 45_000

const families = [
  {
    name: 'IPv4',
    ping: '-4',
    client: '192.0.2.1',
    server: '192.0.2.2',
    shared: '192.0.2.2',
    family: 'ip',
    icmpType: 8,
    icmp: 1,
    prefix: 24,
  },
  {
    name: 'IPv6',
    ping: '-6',
    client: '2001:db8::1',
    server: '2001:db8::2',
    shared: '2001:db8::2',
    family: 'ip6',
    icmpType: 128,
    icmp: 58,
    prefix: 64,
  },
] as const

/** A client and a server that tracks what it is asked, and answers a second port by the first. */
async function inLab(work: (lab: { client: Namespace; server: Namespace; conntrack: Conntrack }) => Promise<void>): Promise<void> {
  const [client, server] = [createNamespace('ct-client'), createNamespace('ct-server')]
  try {
    joinNamespaces(client, 'eth0', server, 'eth0')
    for (const { client: near, server: far, prefix } of families) {
      const nodad = near.includes(':') ? ' nodad' : ''
      client.ip(`addr add ${near}/${prefix} dev eth0${nodad}`)
      server.ip(`addr add ${far}/${prefix} dev eth0${nodad}`)
    }
    server.run(
      'nft',
      'add table inet t; add chain inet t c { type nat hook prerouting priority -100; }; add rule inet t c udp dport 7001 redirect to :7000',
    )
    const conntrack = new Conntrack({ netns: server.path })
    try {
      await work({ client, server, conntrack })
    } finally {
      conntrack.close()
    }
  } finally {
    client.remove()
    server.remove()
  }
}

function show({ source, destination, protocol, sourcePort, destinationPort, icmp }: Tuple): string {
  const ports = sourcePort === undefined ? '' : ` ${sourcePort}>${destinationPort}`
  return `${source} ${destination} ${protocol}${ports}${icmp === undefined ? '' : ` type ${icmp.type} code ${icmp.code} id ${icmp.id}`}`
}

/** The connections but for neighbour discovery and the like, which come and go. */
async function listOwn(conntrack: Conntrack, protocol: number): Promise<readonly Connection[]> {
  return (await conntrack.list(signal)).filter(({ original }) => original.protocol === protocol)
}

for (const f of families) {
  test(`${f.name}: a connection is told with both directions, its translation and its state`, () =>
    inLab(async ({ client, server, conntrack }) => {
      const receiver = openUdp(server, f.server, 7000)
      const sender = openUdp(client, f.client, 6000)
      sender.send(f.server, 7001, 'asked')
      await receiver.receiveUntil('asked')
      const [asked, ...others] = await listOwn(conntrack, 17)
      assert.equal(others, [])
      assert.equal(
        [asked?.original, asked?.reply].map((tuple) => tuple && show(tuple)),
        [`${f.client} ${f.server} 17 6000>7001`, `${f.server} ${f.client} 17 7000>6000`],
      )
      assert.equal(asked && [isReplied(asked), isAssured(asked), isTranslated(asked)], [false, false, true])
      receiver.send(f.client, 6000, 'answered')
      await sender.receiveUntil('answered')
      const [answered] = await listOwn(conntrack, 17)
      assert.equal(answered && [isReplied(answered), answered.id === asked?.id], [true, true])
      for (const socket of [receiver, sender]) socket.close()
    }))

  test(`${f.name}: a connection that is removed is a new one with its next packet`, () =>
    inLab(async ({ client, server, conntrack }) => {
      const receiver = openUdp(server, f.server, 7000)
      const senders = [6001, 6002, 6003].map((port) => openUdp(client, f.client, port))
      for (const sender of senders) sender.send(f.server, 7000, 'first')
      await until('three connections', async () => ((await listOwn(conntrack, 17)).length === 3 ? true : undefined))
      const before = await listOwn(conntrack, 17)
      const chosen = before.filter(({ original }) => original.sourcePort !== 6002)
      assert.is(await conntrack.remove(chosen, signal), 2)
      assert.equal(
        (await listOwn(conntrack, 17)).map(({ original }) => original.sourcePort),
        [6002],
      )
      senders[0]?.send(f.server, 7000, 'again')
      await until('the new one', async () => ((await listOwn(conntrack, 17)).length === 2 ? true : undefined))
      const gone = chosen.filter(({ original }) => original.sourcePort === 6003)
      assert.is(await conntrack.remove(gone, signal), 0, 'gone already is success')
      assert.is((await listOwn(conntrack, 17)).length, 2)
      for (const socket of [receiver, ...senders]) socket.close()
    }))

  test(`${f.name}: those of an address are listed once each, whether it asks, is asked, or is what stands behind translation`, () =>
    inLab(async ({ client, server, conntrack }) => {
      const senders = [openUdp(client, f.client, 6001), openUdp(client, f.client, 6002), openUdp(server, f.server, 6003)]
      senders[0]?.send(f.server, 7000, 'asked')
      senders[1]?.send(f.server, 7001, 'translated')
      senders[2]?.send(f.client, 7002, 'asks')
      await until('three connections', async () => ((await listOwn(conntrack, 17)).length === 3 ? true : undefined))
      const portsOf = async (...addresses: readonly string[]) =>
        (await conntrack.listOf(addresses.map(parseIp), signal, ({ original }) => original.protocol === 17))
          .map(({ original }) => original.sourcePort)
          .sort()
      assert.equal(await portsOf(f.client), [6001, 6002, 6003])
      const [source, destination] = f.family === 'ip' ? ['198.18.0.1', '198.18.0.2'] : ['2001:db8:18::1', '2001:db8:18::2']
      const ends = { source: parseIp(source), destination: parseIp(destination), destinationPort: 80 }
      trackFlows(
        server.path,
        Array.from({ length: OTHERS }, (_, i) => ({ ...ends, sourcePort: 20_000 + i })),
      )
      assert.ok(conntrack.count() >= OTHERS + 3)
      assert.equal(await portsOf(f.client), [6001, 6002, 6003])
      assert.equal(await portsOf(f.client, f.server), [6001, 6002, 6003])
      assert.equal(await portsOf(f.family === 'ip' ? '192.0.2.77' : '2001:db8::77'), [])
      for (const socket of senders) socket.close()
    }))

  test(`${f.name}: echo requests have type, code and identifier, and can be removed`, () =>
    inLab(async ({ client, conntrack }) => {
      client.run('ping', f.ping, '-c1', '-W2', f.server)
      const echo = (await listOwn(conntrack, f.icmp)).find(({ original }) => original.icmp?.type === f.icmpType)
      assert.is(echo?.original.icmp?.code, 0)
      assert.is(echo && isReplied(echo), true)
      assert.is(await conntrack.remove(echo === undefined ? [] : [echo], signal), 1)
    }))
}

test('thousands of connections are listed and removed', () =>
  inLab(async ({ client, conntrack }) => {
    const sender = openUdp(client, '192.0.2.1', 6000)
    for (let port = 10_000; port < 15_000; port++) {
      // A refusal that an earlier packet brought is told to the next send, which then sends nothing.
      if (!sender.send('192.0.2.2', port)) sender.send('192.0.2.2', port)
    }
    await until('all connections', async () => ((await listOwn(conntrack, 17)).length === 5000 ? true : undefined))
    const half = (await listOwn(conntrack, 17)).filter(({ original }) => (original.destinationPort ?? 0) % 2 === 0)
    assert.is(await conntrack.remove(half, signal), 2500)
    assert.is((await listOwn(conntrack, 17)).length, 2500)
    sender.close()
  }))

test.run()
