import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace } from '../../test/support/nft-lab.ts'
import { describeForeignDrop, findForeignDrops, neededPackets } from './foreign-drops.ts'
import { findPublished, readForeignRules } from './foreign-ruleset.ts'

const test = suite('questions/foreign-drops')

const NEEDED = neededPackets({ hasWorkloads: true, uplink: 'eth0', tunnelPort: 4789 })

/** What the kernel and nft make of a rule set. */
function load(text: string) {
  const namespace = createNamespace('foreign')
  try {
    namespace.run('nft', text)
    return readForeignRules([JSON.parse(namespace.run('nft', '-j', 'list', 'ruleset'))])
  } finally {
    namespace.remove()
  }
}

/** As Docker 28 writes them through iptables-nft. */
const docker = (user = '') => `
table ip filter {
  chain DOCKER { iifname != "docker0" oifname "docker0" drop; }
  chain DOCKER-USER { ${user} counter return; }
  chain DOCKER-CT { oifname "docker0" ct state established,related counter accept; }
  chain DOCKER-FORWARD { jump DOCKER-CT; oifname "docker0" jump DOCKER; iifname "docker0" counter accept; }
  chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; jump DOCKER-FORWARD; }
}
table ip nat {
  chain DOCKER { iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80; ip daddr 192.0.2.1 iifname != "docker0" udp dport 53 dnat to 172.17.0.3:5353; }
  chain PREROUTING { type nat hook prerouting priority -100; fib daddr type local jump DOCKER; }
}`

/** As firewalld writes them: an end that refuses, before which zones are asked. */
const firewalld = (zone = '') => `
table inet firewalld {
  chain filter_INPUT { type filter hook input priority 10; policy accept; ct state { established, related } accept; iifname "lo" accept; jump filter_INPUT_ZONES; ct state invalid drop; reject with icmpx admin-prohibited; }
  chain filter_FORWARD { type filter hook forward priority 10; policy accept; ct state { established, related } accept; jump filter_FORWARD_ZONES; reject with icmpx admin-prohibited; }
  chain filter_INPUT_ZONES { iifname "eth0" goto filter_IN_public; goto filter_IN_public; }
  chain filter_IN_public { tcp dport 22 ct state new accept; ${zone ? 'udp dport 4789 accept;' : ''} }
  chain filter_FORWARD_ZONES { ${zone} }
}`

/** As ufw writes them. */
const ufw = (before = '', input = '') => `
table ip filter {
  chain ufw-before-input { ct state established,related accept; iifname "lo" accept; }
  chain ufw-user-input { tcp dport 22 accept; ${input} }
  chain ufw-before-forward { ${before} ct state established,related accept; }
  chain ufw-reject-forward { limit rate 3/minute log prefix "[UFW BLOCK] "; }
  chain INPUT { type filter hook input priority 0; policy drop; jump ufw-before-input; jump ufw-user-input; }
  chain FORWARD { type filter hook forward priority 0; policy drop; jump ufw-before-forward; jump ufw-reject-forward; }
}`

const cases: readonly { readonly name: string; readonly rules: string; readonly want: readonly RegExp[] }[] = [
  {
    name: "Docker's FORWARD drops what workloads send and get, and DOCKER-USER is the cure",
    rules: docker(),
    want: [
      /^the policy of chain FORWARD in table ip filter, .*drops what workloads send,.*: iptables -I DOCKER-USER -i mgy\+ -j ACCEPT$/,
      /^the policy of chain FORWARD in table ip filter, .*drops what is sent to workloads,.*: iptables -I DOCKER-USER -o mgy\+ -j ACCEPT$/,
    ],
  },
  { name: 'Docker with its cure', rules: docker('iifname "mgy*" accept; oifname "mgy*" accept;'), want: [] },
  {
    name: 'firewalld refuses at its end, and a zone is the cure',
    rules: firewalld(),
    want: [
      /^rule \d+ of chain filter_FORWARD in table inet firewalld, .*what workloads send.*firewall-cmd --permanent --new-zone=margay && .* && firewall-cmd --reload$/,
      /^rule \d+ of chain filter_FORWARD in table inet firewalld, .*what is sent to workloads/,
      /^rule \d+ of chain filter_INPUT in table inet firewalld, .*packets of tunnels.*firewall-cmd --permanent --add-port=4789\/udp/,
    ],
  },
  { name: 'firewalld with its cure', rules: firewalld('iifname "mgy*" accept; oifname "mgy*" accept;'), want: [] },
  {
    name: 'ufw drops by policy, and its own files are the cure',
    rules: ufw(),
    want: [
      /what workloads send.*: ufw route allow in on mgy\+$/,
      /what is sent to workloads.*: ufw route allow out on mgy\+$/,
      /packets of tunnels.*ufw allow proto udp to any port 4789$/,
    ],
  },
  { name: 'ufw with its cure', rules: ufw('iifname "mgy*" accept; oifname "mgy*" accept;', 'udp dport 4789 accept;'), want: [] },
  {
    name: 'a drop of somebody else, and the rule before it that helps',
    rules: 'table inet mine { chain f { type filter hook forward priority 5; ct state established accept; iifname "mgy*" drop; }; }',
    want: [/^rule \d+ of chain f in table inet mine, .*: nft insert rule inet mine f iifname "mgy\*" accept$/],
  },
  {
    name: 'rules that look at more than is known are passed over, and so is what only established connections or others meet',
    rules: `table inet mine {
      set bad { type ipv4_addr; }
      chain f { type filter hook forward priority 5; ip saddr @bad drop; ct state invalid drop; iifname "docker0" drop; ip saddr 10.0.0.0/8 drop; tcp dport 25 reject; limit rate 1/second drop; }
      chain out { type filter hook output priority 5; policy drop; }
    }`,
    want: [],
  },
  {
    name: 'a range of ports that a tunnel is in',
    rules: 'table inet mine { chain i { type filter hook input priority 5; udp dport 4000-5000 drop; udp dport { 1, 4789 } drop; }; }',
    want: [/^rule \d+ of chain i .*: nft insert rule inet mine i udp dport 4789 accept$/],
  },
]
for (const { name, rules, want } of cases) {
  test(name, () => {
    const found = findForeignDrops(load(rules), NEEDED).map(describeForeignDrop)
    assert.is(found.length, want.length, found.join('\n'))
    for (const [index, pattern] of want.entries()) assert.match(found[index] ?? '', pattern)
  })
}

test('a zone of firewalld that refuses is named in the cure, and so is the port of a program', () => {
  const zone = firewalld().replace('tcp dport 22 ct state new accept;', 'tcp dport 22 accept; reject;')
  const needed = neededPackets({
    ...{ hasWorkloads: false, uplink: 'eth0', tunnelPort: undefined },
    taken: [22, 8000].map((port) => ({ about: `port ${port}`, protocol: 'tcp' as const, port })),
  })
  const found = findForeignDrops(load(zone), needed).map(describeForeignDrop)
  assert.is(found.length, 1)
  assert.match(
    found[0] ?? '',
    /^rule \d+ of chain filter_IN_public in table inet firewalld, .*drops port 8000, .*: firewall-cmd --permanent --zone=public --add-port=8000\/tcp && firewall-cmd --reload$/,
  )
})

test('a host without workloads and tunnels needs nothing', () => {
  assert.equal(findForeignDrops(load(docker()), neededPackets({ hasWorkloads: false, uplink: 'eth0', tunnelPort: undefined })), [])
})

test('published ports are found with where they lead', () => {
  const found = findPublished(load(docker())).map(({ rule: _, ...rest }) => rest)
  assert.equal(found, [
    { protocol: 6, low: 8080, high: 8080, to: { address: '172.17.0.2', port: 80 } },
    { protocol: 17, low: 53, high: 53, address: '192.0.2.1', to: { address: '172.17.0.3', port: 5353 } },
  ])
})

test('what is no list of rules is passed over', () => {
  assert.equal(readForeignRules([undefined, {}, { nftables: [{ metainfo: {} }, { rule: { family: 1 } }] }]), { chains: [], rules: [] })
})

test.run()
