import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { silentLogger } from '../log.ts'
import { encodeBlock } from '../model/ipam-block-codec.ts'
import { affinityKey, blockKey, RESOURCES_PREFIX, stickyKey, stickyPrefix } from '../model/keys.ts'
import type { Ip } from '../net/ip.ts'
import type { MemoryStore } from '../store/memory.ts'
import { aNetwork, findFaults, never, putConfig, putPool, putValue, readRecords } from './fixtures.ts'
import { createIpam, type Ipam } from './ipam.ts'

const test = suite('ipam/sticky')

const holder = (name: string) => ({ handleId: `margay.default.${name}`, attributes: { namespace: 'default', workload: name } })
const add = async (ipam: Ipam, name = 'web') => (await ipam.autoAssign({ ...holder(name), keepHeld: true }, never)).map(({ ip }) => ip)
const remove = (ipam: Ipam, name = 'web') => ipam.releaseHolder(holder(name), { mayReturn: true }, never)

/** Pools of both families, a clock, and hosts that remember for ten minutes. */
async function aField(stickySeconds = 600) {
  const { store, clock } = await aNetwork({ v4: ['10.65.0.0/26', { blockSize: 28 }], v6: ['fd65::/120', { blockSize: 124 }] })
  let seconds = stickySeconds
  const on = (node: string) => createIpam({ store, node, log: silentLogger, now: () => clock.now, stickySeconds: () => seconds })
  const switchOff = () => {
    seconds = 0
  }
  const wait = (seconds: number) => {
    clock.now = new Date(clock.now.getTime() + seconds * 1000)
  }
  return { store, wait, on, switchOff, h1: on('h1') }
}

test('a workload that returns has the addresses that it had, of both families', async () => {
  const { h1, store } = await aField()
  for (const name of ['a', 'web', 'b']) await add(h1, name)
  const before = await h1.heldBy('margay.default.web', never)
  await remove(h1)
  await add(h1, 'c')
  assert.equal(
    await add(h1),
    before.map(({ ip }) => ip),
  )
  assert.equal(await findFaults(store), [])
})

type Field = Awaited<ReturnType<typeof aField>>

interface Case {
  readonly name: string
  readonly stickySeconds?: number
  before?(field: Field): Promise<unknown>
  between?(field: Field, ips: readonly Ip[]): Promise<unknown> | unknown
  /** Which of its addresses it gets again. */
  readonly again: readonly (4 | 6)[]
}

const everyAddress = (ipam: Ipam, count: number) => ipam.autoAssign({ handleId: 'x', attributes: {}, families: [4], count }, never)

const cases: readonly Case[] = [
  { name: 'to the end of the time', between: ({ wait }) => wait(599), again: [4, 6] },
  { name: 'not after it', between: ({ wait }) => wait(601), again: [] },
  { name: 'never where it is switched off', stickySeconds: 0, again: [] },
  { name: 'also in another process of the host', again: [4, 6] },
  { name: 'also when it was removed twice', between: ({ h1 }) => remove(h1), again: [4, 6] },
  { name: 'also while it cools down', before: ({ store }) => putConfig(store, { ipCooldownSeconds: 300 }), again: [4, 6] },
  { name: 'not when it was switched off since', between: (field) => field.switchOff(), again: [] },
  {
    name: 'not what another has',
    between: async ({ on }, ips) => {
      for (const ip of ips.slice(0, 1)) await on('h2').assignIp({ ip, handleId: 'x', attributes: {} }, never)
    },
    again: [6],
  },
  {
    name: 'not what was reserved since',
    between: ({ store }, ips) =>
      putValue(store, `${RESOURCES_PREFIX}ipreservations/r`, JSON.stringify({ spec: { reservedCIDRs: [ips[0]] } })),
    again: [6],
  },
  {
    name: 'not of a pool that is disabled',
    between: ({ store }) => putPool(store, 'v6', 'fd65::/120', { blockSize: 124, disabled: true }),
    again: [4],
  },
  {
    name: 'not of a block that is another host’s by now',
    async between({ store }) {
      for (const [cidr, block] of (await readRecords(store)).blocks) {
        await putValue(store, blockKey(cidr), encodeBlock({ ...block, affinity: 'host:h2' }))
        await putValue(store, affinityKey('h2', cidr), '{"state":"confirmed"}')
      }
    },
    again: [],
  },
  {
    name: 'not by a record that can’t be read',
    between: ({ store }) => putValue(store, stickyKey('h1', 'margay.default.web'), '{"until":'),
    again: [],
  },
]
for (const { name, stickySeconds, before, between, again } of cases) {
  test(`it gets them again: ${name}`, async () => {
    const field = await aField(stickySeconds)
    const { h1, store, on } = field
    await before?.(field)
    const ips = await add(h1)
    // What is free longest is given out first: without it the next request would not get the same address.
    await remove(h1)
    await between?.(field, ips)
    const got = new Set(await add(on('h1')))
    assert.equal(
      ips.filter((ip) => got.has(ip)).map((ip) => (ip.includes(':') ? 6 : 4)),
      again,
    )
    assert.equal(await findFaults(store), [])
  })
}

test('a workload of the same name on another host, or another holder of the handle, gets others', async () => {
  const { h1, on } = await aField()
  const ips = await add(h1)
  await remove(h1)
  const elsewhere = await add(on('h2'))
  const other = await h1.autoAssign({ ...holder('web'), attributes: { namespace: 'default', workload: 'other' }, keepHeld: true }, never)
  assert.equal(
    ips.filter((ip) => [...elsewhere, ...other.map((one) => one.ip)].includes(ip)),
    [],
  )
})

test('a workload that could not be set up with its addresses gets others', async () => {
  const { h1, store } = await aField()
  const ips = await add(h1)
  await remove(h1)
  assert.equal(await add(h1), ips)
  await h1.releaseHolder(holder('web'), { mayReturn: false }, never)
  assert.is(await store.get(stickyKey('h1', 'margay.default.web'), never), undefined)
  assert.equal(
    (await add(h1)).filter((ip) => ips.includes(ip)),
    [],
  )
})

test('Calico’s records say that the addresses are free, and who needs them gets them', async () => {
  const { h1, store } = await aField()
  await add(h1)
  await remove(h1)
  assert.equal((await readRecords(store)).handles.size, 0)
  assert.is((await everyAddress(h1, 64)).length, 64)
})

test('what is remembered too long is removed: by the host its own, by the leader all, with a host that is deleted its', async () => {
  const { h1, on, wait, store } = await aField()
  const remembered = async () => {
    const keys: string[] = []
    for await (const page of store.list(stickyPrefix(), {}, never))
      keys.push(...page.entries.map(({ key }) => key.slice(stickyPrefix().length)))
    return keys
  }
  for (const [node, name] of [
    ['h1', 'a'],
    ['h2', 'a'],
    ['h3', 'a'],
  ] as const) {
    await add(on(node), name)
    await remove(on(node), name)
  }
  await putValue(store, stickyKey('h1', 'broken'), '{')
  wait(599)
  await h1.forgetSticky('all', never)
  assert.equal(await remembered(), ['h1/margay.default.a', 'h2/margay.default.a', 'h3/margay.default.a'])
  wait(2)
  await h1.forgetSticky('host', never)
  assert.equal(await remembered(), ['h2/margay.default.a', 'h3/margay.default.a'])
  await h1.removeHost('h2', never)
  assert.equal(await remembered(), ['h3/margay.default.a'])
  await h1.forgetSticky('all', never)
  assert.equal(await remembered(), [])
})

test('a store that goes away after the release costs only the memory', async () => {
  const { h1, store } = await aField()
  await add(h1)
  const { commit } = store
  let commits = 0
  store.commit = async function (this: MemoryStore, ...args) {
    if (++commits === 3) store.disconnect()
    return commit.apply(this, args)
  }
  assert.is((await remove(h1)).length, 2)
  assert.is(commits, 3)
})

test.run()
