import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OLDEST, SINCE } from '../../../test/support/nft-features.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { eachAttribute, eachMessage, MessageWriter, readAttributes, readText } from '../netlink/message.ts'
import type { NftChain, NftHook, NftKey, NftMatch, NftObject, NftRule, NftSet, NftVerdict } from '../objects.ts'
import { NftBatch } from './batch.ts'
import { writePuts, writeRemoves } from './delta.ts'
import { writeExpression } from './expression.ts'
import * as nft from './protocol.ts'
import { createRuleEncoder, type Known } from './state.ts'
import { writeTimed } from './timed.ts'

const test = suite('kernel/nftables/features')

/** All matches that there are: a new kind is missed by the compiler. */
const MATCHES: Readonly<Record<NftMatch['on'], readonly NftMatch[]>> = {
  iifname: [{ on: 'iifname', value: 'mgy*' }],
  oifname: [{ on: 'oifname', value: 'eth0', negate: true }],
  family: [
    { on: 'family', value: 6 },
    { on: 'family', set: 'family' },
  ],
  protocol: [{ on: 'protocol', value: 6 }],
  sport: [{ on: 'sport', value: 80 }],
  dport: [{ on: 'dport', set: 'port', negate: true }],
  source: [{ on: 'source', set: 'address-port', family: 4 }],
  destination: [{ on: 'destination', set: 'address-port', family: 6 }],
  sender: (['interface', 'interface-mac', 'interface-address', 'interface-mac-address'] as const).map((key) => ({
    ...{ on: 'sender', key, set: key, family: 4 },
  })),
  connection: [{ on: 'connection', set: 'connection', family: 6, refreshMs: 1000 }],
  'icmp-type': [{ on: 'icmp-type', value: 8 }],
  'icmp-code': [{ on: 'icmp-code', value: 0 }],
  'hop-limit': [{ on: 'hop-limit', value: 255 }],
  saddr: [{ on: 'saddr', value: '10.65.0.0/16' as Cidr }],
  daddr: [{ on: 'daddr', set: 'address', family: 6 }],
  'ct-state': [{ on: 'ct-state', value: ['new', 'established', 'related', 'invalid', 'untracked'] }],
  translated: [{ on: 'translated', value: 'destination' }],
  origin: [{ on: 'origin', value: 'host' }],
  'daddr-type': [{ on: 'daddr-type', value: 'local' }],
  'saddr-type': [{ on: 'saddr-type', value: 'local' }],
  mark: [{ on: 'mark', value: 1, mask: 1 }],
}

const VERDICTS: Readonly<Record<NftVerdict['do'], readonly NftVerdict[]>> = {
  accept: [{ do: 'accept' }],
  drop: [{ do: 'drop' }],
  return: [{ do: 'return' }],
  notrack: [{ do: 'notrack' }],
  jump: [{ do: 'jump', chain: 'c' }],
  goto: [{ do: 'goto', chain: 'c' }],
  map: (['iifname', 'oifname', 'dport', 'sport'] as const).map((on) => ({ do: 'map', on, map: 'm' })),
  continue: [{ do: 'continue' }],
  reject: [{ do: 'reject' }, { do: 'reject', by: 'reset' }],
  masquerade: [{ do: 'masquerade', isRandom: true, ports: [1024, 65_535] }],
  snat: [
    { do: 'snat', address: '192.0.2.1' as Ip, isRandom: true, ports: [1024, 65_535] },
    { do: 'snat', address: '2001:db8::1' as Ip, isRandom: false },
  ],
}

const BESIDE: Readonly<Required<Omit<NftRule, 'matches' | 'verdict'>>> = {
  limit: { rate: 10, seconds: 60, burst: 5 },
  isCounted: true,
  counter: 'counter',
  setMark: { value: 1, mask: 1 },
  log: { group: 1, prefix: 'denied' },
}

const KEYS: Readonly<Record<NftKey, string>> = {
  address: '192.0.2.1',
  port: '80',
  'address-port': '192.0.2.1,6,80',
  interface: 'mgy1',
  'interface-mac': 'mgy1,02:00:5e:00:53:01',
  'interface-address': 'mgy1,192.0.2.1',
  'interface-mac-address': 'mgy1,02:00:5e:00:53:01,192.0.2.1',
  connection: '6,192.0.2.1,40000,192.0.2.2,80',
  family: '4',
}

const HOOKS: Readonly<Record<NftHook['type'], NftHook>> = {
  filter: { type: 'filter', hook: 'forward', priority: -1 },
  nat: { type: 'nat', hook: 'postrouting', priority: 110 },
  route: { type: 'route', hook: 'output', priority: -150 },
}

function everything(): ReadonlyMap<string, NftObject> {
  const plain: readonly NftRule[] = [
    ...Object.values(MATCHES).flatMap((some) => some.map((match): NftRule => ({ matches: [match], verdict: { do: 'accept' } }))),
    ...Object.values(VERDICTS).flatMap((some) => some.map((verdict): NftRule => ({ matches: [], verdict }))),
    { matches: [], verdict: { do: 'continue' }, ...BESIDE },
  ]
  const sets = Object.entries(KEYS).flatMap(([key, element]): NftSet[] => {
    const set = { kind: 'set', name: key, key: key as NftKey, family: 4, isInterval: false, elements: new Set([element]) } as const
    const map = { ...set, name: `map-${key}`, isMap: true, elements: new Set([`${element} goto filter`]) }
    return [set, map, { ...set, name: `timed-${key}`, isTimed: true, elements: new Set() }]
  })
  const chains = Object.values(HOOKS).map((hook): NftChain => ({ kind: 'chain', name: hook.type, hook, rules: plain }))
  const prefixes: NftSet = { kind: 'set', name: 'prefixes', family: 4, isInterval: true, elements: new Set(['10.65.0.0/16']) }
  const objects: readonly NftObject[] = [...sets, prefixes, ...chains, { kind: 'counter', name: 'counter' }]
  return new Map(objects.map((object) => [`${object.kind} ${object.name}`, object]))
}

/** Attributes whose value says which feature is used. The others' values are addresses, names, numbers of registers. */
const VALUED = new Set([
  ...['newSet 6', 'newElement 3.1.3', 'newElement 3.1.2.2.1', 'delElement 3.1.3', 'delElement 3.1.2.2.1', 'newChain 5', 'newChain 7'],
  ...['newObject 3', 'delObject 3', 'meta 2', 'ct 2', 'fib 2', 'dynset 3', 'payload 2', 'reject 1', 'nat 1', 'cmp 2', 'objref 1'],
  'immediate 2.2.1',
])
/** Attributes each of whose bits does. */
const FLAGS = new Set(['newTable 2', 'newSet 3', 'fib 3', 'nat 7', 'masq 1', 'lookup 5'])
const NESTED = 0x8000
const NAMES = new Map<number, string>(Object.entries(nft.MESSAGE).map(([name, number]) => [number, name]))

/** Every kind of message, attribute (`newSet 9.1`: the first in the ninth) and expression in netlink messages of nf_tables. */
function featuresOf(messages: Buffer): Set<string> {
  const found = new Set<string>()
  eachMessage(messages, ({ type, payload }) => {
    const name = type >> 8 === nft.SUBSYSTEM ? (NAMES.get(type & 255) ?? `message ${type & 255}`) : `batch ${type}`
    found.add(name)
    walk(payload.subarray(nft.NFGENMSG_BYTES), `${name} `, found)
  })
  return found
}

function walk(attributes: Buffer, path: string, found: Set<string>): void {
  for (let at = 0; at + 4 <= attributes.length; at += (attributes.readUInt16LE(at) + 3) & ~3) {
    const value = attributes.subarray(at + 4, at + attributes.readUInt16LE(at))
    const type = attributes.readUInt16LE(at + 2)
    const here = `${path}${type & ~NESTED}`
    found.add(VALUED.has(here) ? `${here}=${valueIn(here, value)}` : here)
    if (FLAGS.has(here)) for (let bits = value.readUInt32BE(0); bits !== 0; bits &= bits - 1) found.add(`${here}=${bits & -bits}`)
    if (here === 'newRule 4') readExpressions(value, found)
    else if ((type & NESTED) !== 0) walk(value, `${here}.`, found)
  }
}

function readExpressions(list: Buffer, found: Set<string>): void {
  eachAttribute(list, (expression) => {
    const attributes = readAttributes(expression)
    const name = readText(attributes.get(nft.EXPRESSION.name)) ?? ''
    found.add(name)
    walk(attributes.get(nft.EXPRESSION.attributes) ?? Buffer.alloc(0), `${name} `, found)
  })
}

function valueIn(path: string, value: Buffer): string | number {
  return path === 'newChain 7' ? (readText(value) ?? '') : value.readInt32BE(0)
}

/** All that is written to make everything there is, to change and to remove it. */
async function writeEverything(): Promise<Buffer> {
  const objects = everything()
  const nothing = { generation: 1, exists: false, isDormant: false, chains: new Map(), sets: new Map(), counters: new Set<string>() }
  const encode = createRuleEncoder()
  const made = new NftBatch(() => 1, 1)
  writePuts(made, { table: nft.OUR_TABLE, known: nothing, encode }, objects)
  const changed = new NftBatch(() => 1, 1)
  const context = { table: nft.OUR_TABLE, known: knownOf(objects), encode }
  writePuts(changed, context, objects)
  writeRemoves(changed, context, objects)
  const timed: Buffer[] = []
  const request = (bytes: Buffer) => {
    timed.push(Buffer.from(bytes))
    return { failures: [], acknowledged: new Set([1]), isOverrun: false }
  }
  const elements = [KEYS.connection]
  const source = { socket: { nextSequence: () => 1, request } as never, table: nft.OUR_TABLE }
  await writeTimed(source, objects.get('set timed-connection') as NftSet, { put: { elements, timeoutMs: 1 }, remove: elements }, () => {})
  return Buffer.concat([made.finish(), changed.finish(), ...timed])
}

/** The same objects, each a little otherwise: one member more, rules in their place. */
function knownOf(objects: ReadonlyMap<string, NftObject>): Known {
  const some = [...objects.values()]
  const sets = some.flatMap((one) => (one.kind === 'set' ? [[one.name, { type: one, elements: new Set(others(one)) }] as const] : []))
  const chains = some.flatMap((one) =>
    one.kind === 'chain'
      ? [[one.name, { hook: one.hook, isAccepting: true, rules: [{ hash: 'other', handle: 1n }, lastRule(one)] }] as const]
      : [],
  )
  const counters = new Set(some.flatMap((one) => (one.kind === 'counter' ? [one.name] : [])))
  return { generation: 1, exists: true, isDormant: false, chains: new Map(chains), sets: new Map(sets), counters }
}

function others({ isTimed, isInterval, key, isMap }: NftSet): readonly string[] {
  if (isTimed) return []
  if (isInterval) return ['10.66.0.0/16']
  const other = KEYS[key ?? 'address'].replace('192.0.2.1', '192.0.2.3').replace('mgy1', 'mgy2').replace(/^80$/, '81').replace(/^4$/, '6')
  return [isMap ? `${other} goto nat` : other]
}

function lastRule({ rules }: NftChain) {
  return { hash: createRuleEncoder()(rules.at(-1) as NftRule).hash, handle: 2n }
}

const listed = Object.values(SINCE).flat()
const unlisted = (messages: Buffer) => [...featuresOf(messages)].filter((feature) => !listed.includes(feature))

test(`nothing that can be written needs more than Linux ${OLDEST}, and nothing is listed that is not written`, async () => {
  const written = await writeEverything()
  assert.equal(unlisted(written), [])
  const features = featuresOf(written)
  assert.equal(
    listed.filter((feature) => !features.has(feature)),
    [],
  )
  const isNewer = (version: string) => version.localeCompare(OLDEST, 'en', { numeric: true }) > 0
  assert.equal(Object.keys(SINCE).filter(isNewer), [])
})

test('an expression, an attribute and a flag that are not on the list are found', () => {
  const writer = new MessageWriter()
  // None of them is of ours: when a rule matched last, an operation between two registers, sets of several fields with intervals.
  writeExpression(writer, 'last', () => {})
  writeExpression(writer, 'bitwise', () => writer.u32be(8, 2))
  const rule = Buffer.from(writer.bytes())
  const batch = new NftBatch(() => 1, 1)
  batch.add('', nft.MESSAGE.newRule, 0, (message) => message.bytesOf(nft.RULE.expressions, rule))
  batch.add('', nft.MESSAGE.newSet, 0, (message) => message.u32be(nft.SET.flags, 128 | nft.SET_FLAG.interval))
  assert.equal(unlisted(batch.finish()), ['last', 'bitwise 8', 'newSet 3=128'])
})

test.run()
