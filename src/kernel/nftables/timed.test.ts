import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, joinNamespaces, type Namespace, openUdp, until } from '../../../test/support/nft-lab.ts'
import { withTable } from '../../../test/support/nft-table.ts'
import { connectTcp, listenTcp } from '../../../test/support/tcp.ts'
import { silentLogger } from '../../log.ts'
import { keyOf, type NftChain, type NftObject, type NftRule, type NftSet } from '../objects.ts'
import { nftScript } from './script.ts'
import { NftablesTable } from './table.ts'

const test = suite('kernel/nftables/timed')
const { signal } = new AbortController()

const gone4: NftSet = aTimed('gone4', { key: 'connection' })
const gone6: NftSet = aTimed('gone6', { key: 'connection', family: 6 })
const families: NftSet = aTimed('families', { key: 'family' })
const MINUTE_MS = 60_000

function aTimed(name: string, more: Partial<NftSet>): NftSet {
  return { kind: 'set', name, family: 4, isInterval: false, isTimed: true, elements: new Set(), ...more }
}

const input: NftChain = {
  kind: 'chain',
  name: 'in',
  hook: { type: 'filter', hook: 'input', priority: 0 },
  rules: [gone4, gone6].flatMap(({ name: set, family }): NftRule[] => [
    {
      matches: [
        { on: 'protocol', value: 6 },
        { on: 'connection', set, family, refreshMs: MINUTE_MS },
      ],
      verdict: { do: 'reject', by: 'reset' },
    },
    {
      matches: [
        { on: 'protocol', value: 17 },
        { on: 'connection', set, family },
      ],
      verdict: { do: 'drop' },
    },
  ]),
}
const trial: NftChain = {
  kind: 'chain',
  name: 'trial',
  hook: { type: 'filter', hook: 'input', priority: 1 },
  rules: [
    {
      matches: [
        { on: 'family', set: 'families' },
        { on: 'protocol', value: 17 },
      ],
      verdict: { do: 'drop' },
    },
  ],
}
const everything: readonly NftObject[] = [gone4, gone6, families, input, trial]

const byKey = (objects: readonly NftObject[]) => new Map(objects.map((object) => [keyOf.policy(object), object]))

async function commit(table: NftablesTable, put: readonly NftObject[]): Promise<void> {
  const failures = await table.commit({ put: byKey(put), remove: new Map() }, signal)
  assert.equal(
    [...failures].map(([, error]) => error.message),
    [],
  )
}

const ends = [
  { family: 4, set: gone4, client: '192.0.2.1', server: '192.0.2.2', prefix: '24' },
  { family: 6, set: gone6, client: '2001:db8::1', server: '2001:db8::2', prefix: '64 nodad' },
] as const

/** A client beside a server whose table has the rules above. */
async function inLab(work: (lab: { table: NftablesTable; server: Namespace; client: Namespace }) => Promise<void>): Promise<void> {
  const client = createNamespace('timed-client')
  try {
    await withTable(async (table, server) => {
      joinNamespaces(client, 'eth0', server, 'eth0')
      for (const one of ends) {
        client.ip(`addr add ${one.client}/${one.prefix} dev eth0`)
        server.ip(`addr add ${one.server}/${one.prefix} dev eth0`)
      }
      await commit(table, everything)
      await work({ table, server, client })
    })
  } finally {
    client.remove()
  }
}

/** Rules that nft lists, without the names of what it does not know. */
const shown = (namespace: Namespace) => namespace.run('nft', 'list', 'table', 'inet', 'margay').replace(/\s+/g, ' ')

for (const { family, set, client: near, server: far } of ends) {
  const [element, other] = [`6,${near},40000,${far},80`, `17,${near},40000,${far},53`]

  test(`IPv${family}: a TCP connection in the set is reset by its next packet, another goes on, and the element lives on`, () =>
    inLab(async ({ table, server, client }) => {
      const listener = listenTcp(server, far, 80)
      const [ended, other] = [await connectTcp(client, near, 40_000, far, 80), await connectTcp(client, near, 40_001, far, 80)]
      await table.changeTimed(set, { put: { elements: [element], timeoutMs: 10_000 } })
      const before = (await table.listTimed(set, signal)).get(element) ?? 0
      assert.ok(before > 0 && before <= 10_000, `${before} ms are left`)
      for (const end of [ended, other]) end.socket.write('x')
      await until('the reset', () => ended.fate())
      await until('the other byte', () => (listener.ends.some((end) => end.received() === 1) ? true : undefined))
      assert.equal([ended.fate(), other.fate()], ['ECONNRESET', undefined])
      assert.equal(listener.ends.map((end) => end.received()).sort(), [0, 1])
      const after = (await table.listTimed(set, signal)).get(element) ?? 0
      assert.ok(after > 10_000 && after <= MINUTE_MS, `${after} ms are left`)
      other.socket.destroy()
      listener.close()
    }))

  test(`IPv${family}: a packet passes before its element comes, not while it is there, and again behind its time`, () =>
    inLab(async ({ table, server, client }) => {
      const [receiver, sender] = [openUdp(server, far, 53), openUdp(client, near, 40_000)]
      const send = async (text: string) => {
        sender.send(far, 53, text)
        sender.send(far, 53, `${text} too`)
      }
      await send('first')
      await receiver.receiveUntil('first too')
      await table.changeTimed(set, { put: { elements: [other], timeoutMs: MINUTE_MS } })
      await send('second')
      await table.changeTimed(set, { remove: [other] })
      await send('third')
      assert.equal(await receiver.receiveUntil('third too'), ['third'])
      await table.changeTimed(set, { put: { elements: [other], timeoutMs: 400 } })
      await send('fourth')
      await until('an empty set', async () => ((await table.listTimed(set, signal)).get(other) === undefined ? true : undefined))
      await send('fifth')
      assert.equal(await receiver.receiveUntil('fifth too'), ['fifth'])
      receiver.close()
      sender.close()
    }))

  test(`IPv${family}: rules for a family hold while it is in their set`, () =>
    inLab(async ({ table, server, client }) => {
      const [receiver, sender] = [openUdp(server, far, 7000), openUdp(client, near, 40_000)]
      await table.changeTimed(families, { put: { elements: [family === 4 ? '6' : '4'], timeoutMs: MINUTE_MS } })
      sender.send(far, 7000, 'first')
      await receiver.receiveUntil('first')
      await table.changeTimed(families, { put: { elements: ['4', '6'], timeoutMs: MINUTE_MS } })
      assert.equal([...(await table.listTimed(families, signal)).keys()].sort(), ['4', '6'])
      sender.send(far, 7000, 'second')
      await table.changeTimed(families, { put: { elements: ['4', '6'], timeoutMs: 20 } })
      await until('an empty set', async () => ((await table.listTimed(families, signal)).size === 0 ? true : undefined))
      sender.send(far, 7000, 'third')
      assert.equal(await receiver.receiveUntil('third'), [])
      receiver.close()
      sender.close()
    }))
}

test('elements are neither listed nor compared nor removed with the set, and outlive a commit and another daemon', () =>
  withTable(async (table, namespace) => {
    await commit(table, everything)
    const element = '6,192.0.2.1,40000,192.0.2.2,80'
    await table.changeTimed(gone4, { put: { elements: [element], timeoutMs: MINUTE_MS } })
    await commit(table, [...everything, { ...input, name: 'in2' }])
    const next = new NftablesTable({ netns: namespace.path, log: silentLogger })
    try {
      const listed = await next.list(signal)
      for (const object of everything) {
        const found = listed.get(keyOf.policy(object))
        assert.ok(found && next.matches(object, found), `${keyOf.policy(object)} is not as it was written`)
      }
      const set = listed.get('set gone4')
      assert.is(set?.kind === 'set' && set.elements.size, 0)
      await commit(next, everything)
      assert.equal([...(await next.listTimed(gone4, signal)).keys()], [element])
      assert.is(await table.isCurrent(), true, 'a change of elements is not a change by somebody else')
    } finally {
      next.close()
    }
  }))

test('a change of elements beside a change by somebody else hides nothing of it', () =>
  withTable(async (table, namespace) => {
    await commit(table, everything)
    namespace.run('nft', 'add', 'chain', 'inet', 'margay', 'foreign')
    await table.changeTimed(families, { put: { elements: ['4'], timeoutMs: MINUTE_MS } })
    assert.is(await table.isCurrent(), false)
  }))

test('what is gone already is removed with success, what has no set is refused and named', () =>
  withTable(async (table) => {
    await commit(table, everything)
    await table.changeTimed(gone4, { remove: ['6,192.0.2.1,1,192.0.2.2,2'] })
    assert.is((await table.listTimed(gone4, signal)).size, 0)
    const absent = aTimed('absent', { key: 'connection' })
    assert.is((await table.listTimed(absent, signal)).size, 0)
    let message = ''
    await table.changeTimed(absent, { put: { elements: ['6,192.0.2.1,1,192.0.2.2,2'], timeoutMs: 1000 } }).catch((error: Error) => {
      message = error.message
    })
    assert.match(message, /^could not change elements of the set "absent" in the table inet margay: .*the set is not there/)
  }))

test('more elements than a transaction takes are put and removed', () =>
  withTable(async (table) => {
    await commit(table, everything)
    const elements = Array.from({ length: 5000 }, (_, i) => `17,2001:db8::${(i >> 8).toString(16)},${i},2001:db8::ff,53`)
    await table.changeTimed(gone6, { put: { elements, timeoutMs: MINUTE_MS } })
    const listed = await table.listTimed(gone6, signal)
    assert.equal(
      elements.filter((element) => !listed.has(element.replace('::0,', '::,'))),
      [],
    )
    await table.changeTimed(gone6, { remove: elements.slice(1) })
    assert.is((await table.listTimed(gone6, signal)).size, 1)
  }))

test('nft shows them in its own words, and takes the script', () =>
  withTable(async (table, namespace) => {
    await commit(table, everything)
    await table.changeTimed(gone4, { put: { elements: ['6,192.0.2.1,40000,192.0.2.2,80'], timeoutMs: MINUTE_MS } })
    await table.changeTimed(families, { put: { elements: ['6'], timeoutMs: MINUTE_MS } })
    const text = shown(namespace)
    for (const part of [
      'type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service size 262144 flags dynamic,timeout',
      'elements = { tcp . 192.0.2.1 . 40000 . 192.0.2.2 . 80 timeout 1m expires',
      'type nf_proto flags timeout elements = { ipv6 timeout 1m expires',
      'meta nfproto @families meta l4proto udp drop',
    ]) {
      assert.ok(text.includes(part), `${part} is not in ${text}`)
    }
    const rule = (ip: string, set: string) => {
      const key = (protocol: string) => `meta l4proto . ${ip} saddr . ${protocol} sport . ${ip} daddr . ${protocol} dport`
      return [`${key('tcp')} @${set} update @${set} { ${key('tcp')} timeout 1m } reject with tcp reset`, `${key('udp')} @${set} drop`]
    }
    for (const part of [...rule('ip', 'gone4'), ...rule('ip6', 'gone6')]) assert.ok(text.includes(part), `${part} is not in ${text}`)
    const other = createNamespace('timed-script')
    const file = join(tmpdir(), `${other.name}.nft`)
    try {
      writeFileSync(file, nftScript(everything))
      other.run('nft', '-f', file)
      const byNft = new NftablesTable({ netns: other.path, log: silentLogger })
      const listed = await byNft.list(signal)
      byNft.close()
      assert.equal(
        everything.map((object) => listed.has(keyOf.policy(object))),
        everything.map(() => true),
      )
    } finally {
      rmSync(file, { force: true })
      other.remove()
    }
  }))

test.run()
