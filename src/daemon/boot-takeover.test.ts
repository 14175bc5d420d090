import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { byKey, rulesOf, writeBootRules } from '../../test/support/boot-rules.ts'
import { aFolder, never } from '../../test/support/daemon.ts'
import { createNamespace, joinNamespaces, type Namespace, openUdp, type UdpSocket, until } from '../../test/support/nft-lab.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import type { NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'

const test = suite('daemon/boot-takeover')

/** Denied by all rules of the test, open by failsafe, and open by the policy of today only. */
const [DENIED, FAILSAFE, NEW] = [7777, { 4: 68, 6: 546 }, 7000] as const
const HOST = { 4: '192.0.2.1', 6: '2001:db8:1::1' } as const
const CYCLES = 30

/** A daemon without memory takes the table over, in the order of a pass. */
async function takeOver(host: Namespace, objects: readonly NftObject[]): Promise<void> {
  const table = new NftablesTable({ netns: host.path, log: silentLogger })
  try {
    const [put, listed] = [byKey(objects), await table.list(never)]
    const remove = new Map([...listed].filter(([key]) => !put.has(key)))
    assert.equal([...(await table.commit({ put, remove }, never))], [])
    const after = await table.list(never)
    assert.equal([...after.keys()].sort(), [...put.keys()].sort())
    for (const [key, object] of put) assert.ok(table.matches(object, after.get(key) ?? object), key)
  } finally {
    table.close()
  }
}

/**
 * Sends to the ports until its standard input ends, in both families: 20 packets a millisecond to the denied one, and one each 5 ms to
 * the failsafes, so few that a receiver that looks once a second gets all. Nobody answers, so that no flow is ever established, and each
 * packet is asked about. Prints what it sent.
 */
const SENDER = `
  const [denied, open4, open6, host4, host6] = process.argv.slice(1)
  const sent = { denied: 0, open4: 0, open6: 0 }
  let rounds = 0
  const sockets = ['udp4', 'udp6'].map((type) => require('dgram').createSocket(type))
  const send = (key, socket, port, host) => socket.send('x', Number(port), host, (error) => { if (!error) sent[key]++ })
  const round = () => {
    for (let i = 0; i < 20; i++) { send('denied', sockets[0], denied, host4); send('denied', sockets[1], denied, host6) }
    if (++rounds % 5 !== 0) return
    send('open4', sockets[0], open4, host4)
    send('open6', sockets[1], open6, host6)
  }
  const timer = setInterval(round, 1)
  process.stdin.resume().on('end', () => {
    clearInterval(timer)
    setImmediate(() => { for (const socket of sockets) socket.close(); console.log(JSON.stringify(sent)) })
  })
`

interface Sent {
  readonly denied: number
  readonly open4: number
  readonly open6: number
}

function startSender(from: Namespace): { readonly stop: () => Promise<Sent> } {
  const args = [DENIED, FAILSAFE[4], FAILSAFE[6], HOST[4], HOST[6]].map(String)
  const child: ChildProcess = spawn('nsenter', [`--net=${from.path}`, process.execPath, '-e', SENDER, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout?.on('data', (text) => {
    printed += text
  })
  return {
    async stop() {
      child.stdin?.end()
      if (child.exitCode === null) await once(child, 'close')
      return JSON.parse(printed) as Sent
    },
  }
}

interface Lab {
  readonly host: Namespace
  readonly neighbour: Namespace
  readonly folder: string
  /** Opens a socket of the host, in the family, on the port. */
  readonly listen: (family: 4 | 6, port: number) => UdpSocket
}

async function inLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  const folder = aFolder()
  const [host, neighbour] = [createNamespace('booth'), createNamespace('bootn')]
  const sockets: UdpSocket[] = []
  const listen = (family: 4 | 6, port: number) => {
    const socket = openUdp(host, HOST[family], port)
    sockets.push(socket)
    return socket
  }
  try {
    joinNamespaces(host, 'eth0', neighbour, 'eth0')
    host.ip(`addr add ${HOST[4]}/24 dev eth0`, `addr add ${HOST[6]}/64 dev eth0 nodad`)
    neighbour.ip('addr add 192.0.2.2/24 dev eth0', 'addr add 2001:db8:1::2/64 dev eth0 nodad')
    await work({ host, neighbour, folder: folder.path, listen })
  } finally {
    for (const socket of sockets) socket.close()
    for (const namespace of [host, neighbour]) namespace.remove()
    folder.close()
  }
}

function count(socket: UdpSocket): number {
  let packets = 0
  while (socket.receive() !== undefined) packets++
  return packets
}

test('a host whose daemon does not run is closed but for failsafe ports and what its policies let in, in both families', () =>
  inLab(async ({ host, neighbour, folder, listen }) => {
    host.run('nft', '-f', await writeBootRules(folder, rulesOf(NEW)))
    for (const family of [4, 6] as const) {
      const sender = openUdp(neighbour, family === 4 ? '192.0.2.2' : '2001:db8:1::2')
      const denied = listen(family, DENIED)
      const open = [listen(family, FAILSAFE[family]), listen(family, NEW)]
      try {
        sender.send(HOST[family], DENIED)
        // Sent later on the same way: when they have come, the first one is not under way any more.
        for (const [i, port] of [FAILSAFE[family], NEW].entries()) {
          sender.send(HOST[family], port, 'last')
          await open[i]?.receiveUntil('last')
        }
        assert.is(count(denied), 0, `IPv${family}`)
      } finally {
        sender.close()
      }
    }
  }))

test('no denied packet passes and none to a failsafe port is lost while boot rules are loaded and daemons take over', () =>
  inLab(async ({ host, neighbour, folder, listen }) => {
    // What the host boots with is older than what the daemon finds in the store.
    const [boot, today] = [await writeBootRules(folder, rulesOf(NEW + 1)), rulesOf(NEW)]
    const denied = [listen(4, DENIED), listen(6, DENIED)]
    const open = [listen(4, FAILSAFE[4]), listen(6, FAILSAFE[6])] as const
    const got = { denied: 0, open4: 0, open6: 0 }
    const drain = () => {
      for (const socket of denied) got.denied += count(socket)
      got.open4 += count(open[0])
      got.open6 += count(open[1])
    }
    host.run('nft', '-f', boot)
    const sender = startSender(neighbour)
    let sent: Sent | undefined
    try {
      await until('the first packets', () => {
        drain()
        return got.open4 > 0 && got.open6 > 0 ? true : undefined
      })
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await takeOver(host, today)
        drain()
        host.run('nft', '-f', boot)
        drain()
      }
    } finally {
      sent = await sender.stop()
    }
    drain()
    console.log(`${CYCLES} take-overs: ${sent.denied} denied packets sent, ${got.denied} passed; to failsafes ${sent.open4 + sent.open6}`)
    assert.ok(sent.denied > 1000, `${sent.denied} packets were sent`)
    assert.equal(got, { ...sent, denied: 0 })
  }))

test('what keeps the neighbour from the host is the boot rules', () =>
  inLab(async ({ host, neighbour, folder, listen }) => {
    host.run('nft', '-f', await writeBootRules(folder, rulesOf(DENIED)))
    const socket = listen(4, DENIED)
    const sender = openUdp(neighbour, '192.0.2.2')
    sender.send(HOST[4], DENIED, 'comes')
    assert.equal(await socket.receiveUntil('comes'), [])
    sender.close()
  }))

test.run()
