import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, type Namespace } from '../../../test/support/nft-lab.ts'
import { aSet } from '../../../test/support/nft-objects.ts'
import { silentLogger } from '../../log.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { keyOf, type NftMatch, type NftObject, type NftRule, type NftSet, type NftVerdict } from '../objects.ts'
import { nftScript } from './script.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/script')
const { signal } = new AbortController()

function aRule(matches: readonly NftMatch[], verdict: NftVerdict, more: Partial<NftRule> = {}): NftRule {
  return { matches, verdict, ...more }
}

function addresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `10.66.${i >> 8}.${i & 255}`)
}

const accept: NftVerdict = { do: 'accept' }
const tcp: NftMatch = { on: 'protocol', value: 6 }
const icmp: NftMatch = { on: 'protocol', value: 1 }

const sets: readonly NftSet[] = [
  aSet('hosts4', ['192.0.2.1', '192.0.2.2']),
  aSet('hosts6', ['2001:db8::1'], { family: 6 }),
  aSet('nets4', ['10.0.0.0/8', '255.0.0.0/8'], { isInterval: true }),
  aSet('nets6', ['2001:db8::/64', 'ff00::/8'], { isInterval: true, family: 6 }),
  aSet('nothing', []),
  // Written in pieces: one that is full, and some.
  aSet('one-piece', addresses(500)),
  aSet('three-pieces', addresses(1001)),
  aSet('ports', ['80', '443'], { key: 'port' }),
  aSet('ranges', ['22', '8000-8100', '65000-65535'], { key: 'port', isInterval: true }),
  aSet('named4', ['10.65.0.2,6,8080', '10.65.0.3,17,53'], { key: 'address-port' }),
  aSet('named6', ['2001:db8::2,6,8080'], { key: 'address-port', family: 6 }),
  aSet('senders4', ['mgyw1,02:00:5e:00:53:01,10.65.0.2'], { key: 'interface-mac-address' }),
  aSet('senders6', ['mgyw1,02:00:5e:00:53:01,2001:db8::2'], { key: 'interface-mac-address', family: 6 }),
  aSet('sent4', ['tap0,10.65.0.3'], { key: 'interface-address' }),
  aSet('macs', ['mgyw1,02:00:5e:00:53:01'], { key: 'interface-mac' }),
  aSet('links', ['tap0', 'a,b'], { key: 'interface' }),
  aSet('by-interface', ['eth0 goto leaf', 'margay.vxlan goto other'], { key: 'interface', isMap: true }),
  aSet('by-port', ['80 goto leaf', '443 goto other'], { key: 'port', isMap: true }),
]

const matches: readonly (readonly NftMatch[])[] = [
  [{ on: 'iifname', value: 'eth0' }],
  [{ on: 'oifname', value: 'mgy*', negate: true }],
  [{ on: 'family', value: 6 }],
  [{ on: 'protocol', value: 132, negate: true }],
  [tcp, { on: 'dport', value: 22 }, { on: 'sport', value: 53, negate: true }],
  [tcp, { on: 'dport', set: 'ports' }, { on: 'sport', set: 'ranges', negate: true }],
  [{ on: 'destination', set: 'named4', family: 4 }],
  [{ on: 'source', set: 'named6', family: 6, negate: true }],
  [{ on: 'sender', key: 'interface-mac-address', set: 'senders4', family: 4 }],
  [{ on: 'sender', key: 'interface-mac-address', set: 'senders6', family: 6, negate: true }],
  [{ on: 'sender', key: 'interface-address', set: 'sent4', family: 4 }],
  [{ on: 'sender', key: 'interface-mac', set: 'macs', family: 4 }],
  [{ on: 'sender', key: 'interface', set: 'links', family: 4 }],
  [icmp, { on: 'icmp-type', value: 8 }, { on: 'icmp-code', value: 0, negate: true }],
  [
    { on: 'family', value: 6 },
    { on: 'hop-limit', value: 255 },
  ],
  [
    { on: 'saddr', value: '10.1.0.0/17' as Cidr },
    { on: 'daddr', value: '192.0.2.1' as Ip, negate: true },
  ],
  [
    { on: 'saddr', value: '2001:db8::/57' as Cidr },
    { on: 'daddr', set: 'nets6', family: 6, negate: true },
  ],
  [{ on: 'saddr', set: 'hosts4', family: 4 }],
  [{ on: 'ct-state', value: ['established', 'related'] }],
  [{ on: 'ct-state', value: ['new'], negate: true }],
  [{ on: 'translated', value: 'destination' }],
  [{ on: 'translated', value: 'destination', negate: true }],
  [
    { on: 'daddr-type', value: 'local' },
    { on: 'saddr-type', value: 'local', negate: true },
  ],
  [{ on: 'mark', value: 0x1000_0000, mask: 0x1000_0000 }],
  [{ on: 'mark', value: 0, mask: 0x8000_0000, negate: true }],
]

const verdicts: readonly NftRule[] = [
  aRule([], { do: 'drop' }, { isCounted: true }),
  aRule([], { do: 'return' }),
  aRule([], { do: 'jump', chain: 'leaf' }),
  aRule([tcp], { do: 'goto', chain: 'other' }),
  aRule([], { do: 'map', on: 'iifname', map: 'by-interface' }),
  aRule([tcp], { do: 'map', on: 'dport', map: 'by-port' }),
  aRule([tcp], { do: 'continue' }, { isCounted: true, setMark: { value: 0x1000_0000, mask: 0x1000_0000 } }),
  aRule([], { do: 'continue' }, { log: { group: 5, prefix: 'policy web, rule 3' } }),
  aRule([], { do: 'reject' }),
  aRule([], { do: 'drop' }, { counter: 'seen' }),
  aRule([], { do: 'continue' }, { limit: { rate: 10, seconds: 1, burst: 5 }, log: { group: 5, prefix: 'margay' } }),
  aRule([], { do: 'accept' }, { limit: { rate: 3, seconds: 86_400, burst: 1 }, counter: 'seen' }),
]

const nat: readonly NftRule[] = [
  aRule([tcp], { do: 'masquerade', isRandom: true, ports: [2000, 3000] }, { isCounted: true }),
  aRule([{ on: 'family', value: 4 }, tcp], { do: 'snat', address: '192.0.2.9' as Ip, isRandom: true, ports: [2000, 3000] }),
  aRule([{ on: 'family', value: 6 }], { do: 'snat', address: '2001:db8::9' as Ip, isRandom: false }),
  aRule([], { do: 'masquerade', isRandom: false }),
]

const objects: readonly NftObject[] = [
  ...sets,
  { kind: 'counter', name: 'seen' },
  { kind: 'chain', name: 'leaf', rules: [] },
  { kind: 'chain', name: 'other', rules: verdicts.slice(0, 2) },
  { kind: 'chain', name: 'matches', rules: matches.map((all) => aRule(all, accept)) },
  { kind: 'chain', name: 'in', hook: { type: 'filter', hook: 'input', priority: 0 }, rules: verdicts },
  {
    kind: 'chain',
    name: 'out',
    hook: { type: 'filter', hook: 'postrouting', priority: -10 },
    rules: [aRule([{ on: 'origin', value: 'host' }], accept)],
  },
  { kind: 'chain', name: 'raw', hook: { type: 'filter', hook: 'prerouting', priority: -300 }, rules: [aRule([], { do: 'notrack' })] },
  { kind: 'chain', name: 'nat', hook: { type: 'nat', hook: 'postrouting', priority: 110 }, rules: nat },
]

/** What nft(8) shows of our table, but for its comment; sets and chains by name, because each way creates them in an order of its own. */
function shown(namespace: Namespace): string[] {
  const text = namespace.run('nft', '-s', 'list', 'table', 'inet', 'margay')
  return text
    .split(/\n(?=\t\S.*\{)/)
    .slice(1)
    .map((part) => part.replace(/\n\}\s*$/, '').trim())
    .toSorted()
}

function load(namespace: Namespace, script: string): void {
  const file = join(tmpdir(), `${namespace.name}.nft`)
  writeFileSync(file, script)
  try {
    namespace.run('nft', '-f', file)
  } finally {
    rmSync(file)
  }
}

async function inNamespaces(count: number, work: (...namespaces: readonly Namespace[]) => Promise<void>): Promise<void> {
  const namespaces = Array.from({ length: count }, (_, index) => createNamespace(`script${index}`))
  try {
    await work(...namespaces)
  } finally {
    for (const namespace of namespaces) namespace.remove()
  }
}

async function commit(table: NftablesTable, wanted: readonly NftObject[]): Promise<void> {
  const put = new Map(wanted.map((object) => [keyOf.policy(object), object]))
  assert.equal(
    [...(await table.commit({ put, remove: new Map() }, signal))].map(([key, error]) => `${key}: ${error.message}`),
    [],
  )
}

test('nft loads what the daemon would write, object by object and rule by rule', () =>
  inNamespaces(2, async (byDaemon, byScript) => {
    if (byDaemon === undefined || byScript === undefined) throw new Error('two namespaces were made')
    const table = new NftablesTable({ netns: byDaemon.path, log: silentLogger })
    try {
      await commit(table, objects)
      load(byScript, nftScript(objects))
      assert.equal(shown(byScript), shown(byDaemon))
      assert.is(shown(byScript).length, objects.length)
    } finally {
      table.close()
    }
  }))

test('loading replaces what is in the table, and a daemon takes over what was loaded', () =>
  inNamespaces(1, async (namespace) => {
    if (namespace === undefined) throw new Error('a namespace was made')
    load(namespace, nftScript([aSet('old', ['192.0.2.1']), { kind: 'chain', name: 'old-chain', rules: [] }]))
    load(namespace, nftScript(objects))
    assert.not.match(namespace.run('nft', 'list', 'table', 'inet', 'margay'), 'old')
    const table = new NftablesTable({ netns: namespace.path, log: silentLogger })
    try {
      await table.list(signal)
      await commit(table, objects)
      const listed = await table.list(signal)
      const wrong = objects.filter((object) => {
        const actual = listed.get(keyOf.policy(object))
        return actual === undefined || !table.matches(object, actual)
      })
      assert.equal(
        wrong.map(({ name }) => name),
        [],
      )
    } finally {
      table.close()
    }
  }))

test.run()
