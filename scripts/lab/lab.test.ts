import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run, tryRun } from './command.ts'
import { openLab } from './lab.ts'
import { isReachable, readPing, startProbe, startStream } from './probe.ts'
import { buildTopology, type LabHost, type Topology } from './topology.ts'
import { startCapture } from './wire.ts'

const test = suite('scripts/lab')

async function withTopology(
  hosts: readonly (0 | 1)[],
  action: (topology: Topology, hosts: readonly LabHost[]) => Promise<void>,
): Promise<void> {
  const topology = await buildTopology({ hosts })
  try {
    await action(topology, topology.hosts)
  } finally {
    await topology.close()
  }
}

function hostAt(hosts: readonly LabHost[], index: number): LabHost {
  const host = hosts[index]
  if (host === undefined) throw new Error(`no host ${index}`)
  return host
}

test('hosts reach each other in both families, on one subnet and through the router', async () => {
  await withTopology([0, 0, 1], async (_topology, hosts) => {
    const [first, second, third] = [hostAt(hosts, 0), hostAt(hosts, 1), hostAt(hosts, 2)]
    const targets = [second.ipv4, second.ipv6, third.ipv4, third.ipv6]
    assert.equal(await Promise.all(targets.map((to) => isReachable(first, to))), [true, true, true, true])
    assert.is(await isReachable(first, '192.0.2.99'), false)
  })
})

test('a host has folders and a name of its own', async () => {
  await withTopology([0, 0], async (_topology, hosts) => {
    const [first, second] = [hostAt(hosts, 0), hostAt(hosts, 1)]
    await run(first, ['sh', '-c', 'echo mine > /etc/margay/file'])
    assert.is(await run(first, ['cat', '/etc/margay/file']), 'mine\n')
    assert.is((await tryRun(second, ['cat', '/etc/margay/file'])).code, 1)
    assert.is((await tryRun(MACHINE, ['cat', '/etc/margay/file'])).code, 1)
    assert.is(await run(second, ['hostname']), 'h2\n')
  })
})

test('a host sees the network namespace of a workload that was made after it', async () => {
  await withTopology([0], async (topology, hosts) => {
    const workload = await topology.addNamespace('w1')
    const inside = await run(hostAt(hosts, 0), ['stat', '-L', '-c', '%i', workload.path])
    assert.is(inside, await run(MACHINE, ['stat', '-L', '-c', '%i', workload.path]))
  })
})

test('a capture counts each packet once, where it was sent', async () => {
  await withTopology([0, 1], async (topology, hosts) => {
    const [first, second] = [hostAt(hosts, 0), hostAt(hosts, 1)]
    await run(MACHINE, ['mkdir', '-p', first.folder])
    const capture = await startCapture(topology, first.folder)
    await run(first, ['ping', '-q', '-c', '10', '-i', '0.01', second.ipv4])
    await run(first, ['bash', '-c', `for n in 1 2 3 4 5; do echo x > /dev/udp/${second.ipv4}/4789; done`])
    const { count } = await capture.end(['10.65.0.0/16'])
    assert.is(count.encapsulated, 5)
    assert.is(count.plain, 0)
    assert.match((await capture.show('udp port 4789')) ?? '', `${first.ipv4}.`)
    const pooled = await startCapture(topology, first.folder)
    await run(first, ['ping', '-q', '-c', '10', '-i', '0.01', second.ipv4])
    assert.is((await pooled.end(['198.51.100.0/24'])).count.plain, 20)
  })
})

test('a probe counts what was lost, to the single packet', async () => {
  await withTopology([0, 0], async (topology, hosts) => {
    const [first, second] = [hostAt(hosts, 0), hostAt(hosts, 1)]
    const probe = startProbe(first, { to: second.ipv4, count: 400 })
    await probe.running
    const result = await probe.ended
    assert.equal([result.sent, result.received, result.lost, result.longestRun], [400, 400, 0, 0])
    const cut = startProbe(first, { to: second.ipv4, count: 400 })
    await cut.running
    await run(MACHINE, ['ip', '-n', topology.underlay.name, 'link', 'set', 'p-h2', 'down'])
    const { lost, longestRun } = await cut.ended
    assert.ok(lost > 100 && lost === longestRun, `${lost} lost, ${longestRun} in a row`)
  })
})

test('a reply that is missing in the middle is found, and one that came twice counts once', () => {
  const line = (sequence: number) => `[1700000000.00${sequence}] 64 bytes from 192.0.2.1: icmp_seq=${sequence} ttl=64 time=0.05 ms\n`
  const output = `${line(1)}${line(2)}${line(2)}${line(5)}\n5 packets transmitted, 3 received\n`
  assert.equal(readPing(output), { sent: 5, received: 3, lost: 2, longestRun: 2, spanMs: 4 })
})

test('of a probe that was stopped the last requests need no reply, those before do', () => {
  const line = (sequence: number) => `[1700000000.00${sequence}] 64 bytes from 192.0.2.1: icmp_seq=${sequence} ttl=64 time=0.05 ms\n`
  const output = `${line(1)}${line(2)}9 packets transmitted, 2 received\n`
  const cases = [
    { inFlight: 0, sent: 9, lost: 7 },
    { inFlight: 3, sent: 6, lost: 4 },
    { inFlight: 7, sent: 2, lost: 0 },
    { inFlight: 20, sent: 2, lost: 0 },
  ]
  for (const { inFlight, ...want } of cases) {
    const { sent, lost } = readPing(output, '', inFlight)
    assert.equal({ sent, lost }, want, `${inFlight} in flight`)
  }
})

test('a probe that was stopped before ping could sum up has sent what was answered; one that was not stopped must sum up', () => {
  const begin = 'PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.\n'
  const reply = '[1700000000.001] 64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=0.05 ms\n'
  assert.equal([readPing(begin, '', 20).sent, readPing(`${begin}${reply}`, '', 20).sent], [0, 1])
  assert.throws(() => readPing(begin), /ping did not run/)
  assert.throws(() => readPing('', 'ping: no such host', 20), /ping did not run: ping: no such host/)
})

test('pings with DF are as long as asked', async () => {
  await withTopology([0, 0], async (_topology, hosts) => {
    const [first, second] = [hostAt(hosts, 0), hostAt(hosts, 1)]
    const send = async (to: string, packetBytes: number) => (await startProbe(first, { to, count: 2, packetBytes }).ended).lost
    assert.equal([await send(second.ipv4, 1500), await send(second.ipv6, 1500), await send(second.ipv4, 1501)], [0, 0, 2])
  })
})

test('a stream reports its longest stall', async () => {
  await withTopology([0, 0], async (topology, hosts) => {
    const [first, second] = [hostAt(hosts, 0), hostAt(hosts, 1)]
    const link = (state: string) => run(MACHINE, ['ip', '-n', topology.underlay.name, 'link', 'set', 'p-h2', state])
    const stream = await startStream(first, second, second.ipv4)
    await link('down')
    await isReachable(first, second.ipv4)
    await link('up')
    const { longestStallMs, bytes } = await stream.end()
    assert.ok(longestStallMs > 500 && bytes > 0, `${longestStallMs} ms, ${bytes} bytes`)
  })
})

test('etcd serves the hosts, plain and embedded', async () => {
  for (const etcd of ['plain', 'embedded'] as const) {
    const lab = await openLab({ hosts: [0, 1], etcd })
    try {
      await lab.etcd.control(['put', '/a', etcd])
      await lab.etcd.stop('SIGKILL')
      await lab.etcd.start()
      assert.is(await lab.etcd.control(['get', '/a', '--print-value-only']), `${etcd}\n`)
    } finally {
      await lab.close()
    }
  }
})

test('nothing of a lab is left behind', async () => {
  const left = [...readdirSync('/run/netns'), ...readdirSync(tmpdir())].filter((name) => name.startsWith(`mgt-${process.pid}-`))
  assert.equal(left, [])
})

test.run()
