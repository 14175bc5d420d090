import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, joinNamespaces, type Namespace, openUdp, until } from '../../../test/support/nft-lab.ts'
import { type LoggedPacket, Nflog } from './nflog.ts'

const test = suite('kernel/nflog')
const GROUP = 77

/** A sender and a host whose rules log what comes to port 7000 and what goes out to port 6000. */
async function inLab(work: (lab: { sender: Namespace; host: Namespace }) => Promise<void>): Promise<void> {
  const [sender, host] = [createNamespace('log-sender'), createNamespace('log-host')]
  try {
    joinNamespaces(sender, 'eth0', host, 'eth0')
    sender.ip('addr add 192.0.2.1/24 dev eth0', 'addr add 2001:db8::1/64 dev eth0 nodad')
    host.ip('addr add 192.0.2.2/24 dev eth0', 'addr add 2001:db8::2/64 dev eth0 nodad')
    const rules = [
      'add table inet t',
      'add chain inet t in { type filter hook input priority 0; }',
      'add chain inet t out { type filter hook output priority 0; }',
      `add rule inet t in udp dport 7000 log prefix "coming in" group ${GROUP}`,
      `add rule inet t out udp dport 6000 log prefix "${'p'.repeat(100)}" group ${GROUP}`,
    ]
    host.run('nft', rules.join('; '))
    await work({ sender, host })
  } finally {
    sender.remove()
    host.remove()
  }
}

for (const { name, sender: from, host: to } of [
  { name: 'IPv4', sender: '192.0.2.1', host: '192.0.2.2' },
  { name: 'IPv6', sender: '2001:db8::1', host: '2001:db8::2' },
] as const) {
  test(`${name}: a logged packet is told with the rule's text, its interface and its header`, () =>
    inLab(async ({ sender, host }) => {
      const packets: LoggedPacket[] = []
      const nflog = new Nflog({ group: GROUP, netns: host.path }, { packet: (packet) => packets.push(packet), lost: () => {} })
      const index = Number(/^(\d+):/.exec(host.run('ip', '-o', 'link', 'show', 'dev', 'eth0'))?.[1])
      const [asks, answers] = [openUdp(sender, from, 6000), openUdp(host, to, 7000)]
      try {
        asks.send(to, 7000, 'asked')
        answers.send(from, 6000, 'answered')
        await until('both packets', () => (packets.length === 2 ? true : undefined))
        const family = name === 'IPv4' ? 4 : 6
        const overhead = family === 4 ? 28 : 48
        assert.equal(packets, [
          {
            prefix: 'coming in',
            inInterface: index,
            mark: 0,
            header: {
              ...{ family, source: from, destination: to, protocol: 17 },
              ...{ lengthBytes: overhead + 5, sourcePort: 6000, destinationPort: 7000 },
            },
          },
          {
            prefix: 'p'.repeat(100),
            outInterface: index,
            mark: 0,
            userId: 0,
            header: {
              ...{ family, source: to, destination: from, protocol: 17 },
              ...{ lengthBytes: overhead + 8, sourcePort: 7000, destinationPort: 6000 },
            },
          },
        ])
      } finally {
        for (const it of [asks, answers, nflog]) it.close()
      }
    }))
}

test('a group that somebody listens to is refused, and free again when he is gone', () =>
  inLab(async ({ host }) => {
    const listen = () => new Nflog({ group: GROUP, netns: host.path }, { packet: () => {}, lost: () => {} })
    const first = listen()
    try {
      assert.throws(listen, /could not listen to group 77 of nflog: somebody listens to it already/)
    } finally {
      first.close()
    }
    listen().close()
  }))

test.run()
