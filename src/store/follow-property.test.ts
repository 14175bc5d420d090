import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aTier, listAll } from '../../test/support/store.ts'
import { silentLogger } from '../log.ts'
import { BLOCKS_PREFIX, LIVE_PREFIX, RESOURCES_PREFIX } from '../model/keys.ts'
import { Follower } from './follower.ts'
import { MemoryStore } from './memory.ts'

const test = suite('store/follow property')
const never = new AbortController().signal

type Action =
  | { readonly do: 'put' | 'break'; readonly name: number; readonly order: number }
  | { readonly do: 'remove'; readonly name: number }
  | { readonly do: 'take' | 'compact' | 'disconnect' | 'reconnect' | 'turn' | 'wipe' }

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.nat(5), order: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), name: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('break' as const), name: fc.nat(5), order: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'turn' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('compact' as const, 'disconnect' as const, 'reconnect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wipe' as const) }) },
)

test('after any sequence of changes, cuts, compactions and losses the view is what the store holds, and the changes say how it became so', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const store = new MemoryStore()
      const writer = store.another()
      const stop = new AbortController()
      const follower = new Follower(store, { log: silentLogger })
      const running = follower.run(stop.signal)
      const told = new Map<string, number | undefined>()
      const take = async (): Promise<void> => {
        if (!follower.isNews) return
        const { changes, view } = await follower.take()
        for (const { id } of changes) told.set(id, view.get('Tier').get(id)?.spec.order)
      }
      for (const each of actions) await perform(each, { store, writer, take })
      store.reconnect()
      await settle(follower, writer, take)
      stop.abort()
      await running
      assert.equal(shown(follower), await held(writer))
      const built = Object.fromEntries([...told].flatMap(([id, order]) => (order === undefined ? [] : [[id, order]])).sort())
      assert.equal(built, Object.fromEntries([...follower.view.get('Tier')].map(([id, tier]) => [id, tier.spec.order]).sort()))
    }),
    { numRuns: 60 },
  )
})

interface World {
  readonly store: MemoryStore
  readonly writer: MemoryStore
  take(): Promise<void>
}

async function perform(each: Action, { store, writer, take }: World): Promise<void> {
  if ('name' in each) {
    const key = `${RESOURCES_PREFIX}tiers/t${each.name}`
    const value = each.do === 'break' ? '{"spec":[]}' : aTier(`t${each.name}`, 'order' in each ? each.order : 0)
    await writer.commit([], [each.do === 'remove' ? { remove: key } : { put: key, value }], never)
  } else if (each.do === 'take') await take()
  else if (each.do === 'compact') writer.compact(writer.revision)
  else if (each.do === 'disconnect') store.disconnect()
  else if (each.do === 'reconnect') store.reconnect()
  else if (each.do === 'wipe') writer.wipe()
  else await new Promise((resolve) => setImmediate(resolve))
}

/** Writes a mark under each prefix, and takes until the view has them all: then it has all that was before. */
async function settle(follower: Follower, writer: MemoryStore, take: () => Promise<void>): Promise<void> {
  const mark = { put: `${RESOURCES_PREFIX}tiers/mark`, value: aTier('mark', 1) }
  const { revision } = await writer.commit([], [mark], never)
  const deadline = Date.now() + 10_000
  while (follower.view.revision < revision || follower.view.get('Tier').get('mark')?.metadata.resourceVersion !== String(revision)) {
    if (Date.now() > deadline) throw new Error(`the view stays at revision ${follower.view.revision}, the store is at ${revision}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
    await take()
  }
}

/** What the view holds of keys that parse. */
function shown(follower: Follower): string[] {
  const isBroken = (key: string): boolean => follower.view.broken.has(`Tier/${key.split('/').at(-1)}`)
  return follower.view
    .entries()
    .filter(({ key }) => !isBroken(key))
    .map(({ key, modRevision }) => `${key} ${modRevision}`)
    .sort()
}

async function held(store: MemoryStore): Promise<string[]> {
  const lists = await Promise.all([RESOURCES_PREFIX, BLOCKS_PREFIX, LIVE_PREFIX].map((prefix) => listAll(store, prefix)))
  return lists
    .flat()
    .filter(({ value }) => value !== '{"spec":[]}')
    .map(({ key, modRevision }) => `${key} ${modRevision}`)
    .sort()
}

test.run()
