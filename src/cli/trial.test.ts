import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Run, run } from '../../test/support/cli.ts'
import { listAll } from '../../test/support/store.ts'
import { liveKey, MARGAY_PREFIX, resourceKey, TRIALS_PREFIX, trialHostsPrefix } from '../model/keys.ts'
import { decodeTrial, type TrialHost } from '../model/own/trial.ts'
import { MemoryStore } from '../store/memory.ts'

const test = suite('cli/trial')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379', USER: 'ada' }

/** A store with hosts that are alive; each says of a trial what it is told, or nothing. */
async function aNetwork(hosts: Readonly<Record<string, Partial<TrialHost> | undefined>> = {}, now?: () => number) {
  const store = new MemoryStore(now)
  const stop = new AbortController()
  for (const node of Object.keys(hosts)) await store.commit([], [{ put: liveKey(node), value: '{}' }], never)
  const watching = (async () => {
    for await (const { events } of store.another().watch(TRIALS_PREFIX, 0, stop.signal)) {
      for (const { key, entry } of events) {
        if (entry === undefined || decodeTrial(entry.value, 0).isConfirmed) continue
        for (const [node, more] of Object.entries(hosts)) {
          if (more === undefined) continue
          const value = JSON.stringify({ node, state: 'running', reasons: [], ...more })
          await store.commit([], [{ put: `${trialHostsPrefix(key.slice(TRIALS_PREFIX.length))}${node}`, value, lease: entry.lease }], never)
        }
      }
    }
  })()
  await new Promise((resolve) => setImmediate(resolve))
  const margay = (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env })
  const end = async () => {
    stop.abort()
    await watching
  }
  return { store, margay, end }
}

function idIn({ out }: Run): string {
  return /^trial (\w{4}):/m.exec(out)?.[1] ?? ''
}

const policy = (name: string, order = 10) =>
  `apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: ${name}}\nspec: {order: ${order}, selector: all(), types: [Ingress], ingress: [{action: Deny}]}\n`
const key = (name: string) => resourceKey('GlobalNetworkPolicy', name)

test('a trial is written beside the resources, waits for the hosts, and confirming writes all of it', async () => {
  const { store, margay, end } = await aNetwork({ h1: {}, h2: {} })
  await margay(['apply', '-f', '-'], policy('old'))
  const before = await listAll(store, '/calico/')
  const begun = await margay(['apply', '-f', '-', '--confirm', '60s'], `${policy('old', 20)}---\n${policy('new')}`)
  const id = idIn(begun)
  assert.equal(begun, {
    code: 0,
    out:
      'globalnetworkpolicy/old updated (to be tried)\nglobalnetworkpolicy/new created (to be tried)\n' +
      `trial ${id}: running on 2 of 2 hosts\nthe policy that was returns in 59 s, unless you confirm: margay confirm ${id}\n`,
    err: '',
  })
  assert.equal(await listAll(store, '/calico/'), before)
  assert.match(
    (await margay(['trial', 'list'])).out,
    new RegExp(`^${id} +ada@h1 +5\\ds +globalnetworkpolicy/old, globalnetworkpolicy/new$`, 'm'),
  )
  assert.match((await margay(['trial', 'show'])).out, /Running on +h1, h2/)
  const confirmed = await margay(['confirm'])
  assert.equal(confirmed, {
    code: 0,
    out: `globalnetworkpolicy/old written\nglobalnetworkpolicy/new written\ntrial ${id} confirmed\n`,
    err: '',
  })
  const [old, fresh] = [await store.get(key('old'), never), await store.get(key('new'), never)]
  assert.match(old?.value ?? '', /"order":20/)
  assert.is(old?.modRevision, fresh?.modRevision)
  assert.is((await margay(['trial', 'list'])).out, 'no trial runs\n')
  assert.equal(await margay(['confirm', id]), {
    code: 1,
    out: '',
    err: `margay: there is no trial "${id}" any more: its time is over, or it was confirmed or cancelled\n`,
  })
  await end()
})

test('when the time is over nothing of it is left, and confirming writes nothing', async () => {
  let now = 0
  const { store, margay, end } = await aNetwork({ h1: {} }, () => now)
  const id = idIn(await margay(['apply', '-f', '-', '--confirm=5s'], policy('p')))
  now = 5000
  const late = await margay(['confirm', id])
  assert.equal([late.code, /there is no trial/.test(late.err)], [1, true])
  assert.is(await store.get(key('p'), never), undefined)
  assert.equal(
    (await listAll(store, MARGAY_PREFIX)).map((entry) => entry.key),
    [liveKey('h1')],
  )
  await end()
})

test('a resource that somebody else changed meanwhile is named, and nothing is written', async () => {
  const { store, margay, end } = await aNetwork()
  await margay(['apply', '-f', '-'], policy('p'))
  const id = idIn(await margay(['apply', '-f', '-', '--confirm', '1m'], `${policy('p', 20)}---\n${policy('q')}`))
  await margay(['apply', '-f', '-'], policy('p', 30))
  const refused = await margay(['confirm'])
  assert.equal(refused, {
    code: 1,
    out: '',
    err: `margay: trial ${id} was not confirmed, nothing was written: since it began somebody else has changed globalnetworkpolicy/p\n`,
  })
  assert.is(await store.get(key('q'), never), undefined)
  await end()
})

test('of two trials of one resource the second is refused, another resource can be tried beside it', async () => {
  const { margay, end } = await aNetwork()
  const id = idIn(await margay(['apply', '-f', '-', '--confirm', '60s'], policy('p')))
  const second = await margay(['apply', '-f', '-', '--confirm', '60s'], policy('p', 20))
  assert.is(second.code, 1)
  assert.match(second.err, new RegExp(`trial ${id} of ada@h1 changes the same \\(globalnetworkpolicy/p\\): confirm it, or cancel it`))
  const other = idIn(await margay(['apply', '-f', '-', '--confirm', '60s'], policy('q')))
  assert.match((await margay(['confirm'])).err, /several trials run, give the id of one/)
  assert.equal(await margay(['trial', 'cancel', id]), { code: 0, out: `trial ${id} cancelled\n`, err: '' })
  assert.is((await margay(['confirm'])).out, `globalnetworkpolicy/q written\ntrial ${other} confirmed\n`)
  await end()
})

test('two that begin at once with one resource do not both run', async () => {
  const { margay, end } = await aNetwork()
  const runs = await Promise.all(Array.from({ length: 5 }, () => margay(['apply', '-f', '-', '--confirm', '60s'], policy('p'))))
  assert.equal(runs.map(({ code }) => code).sort(), [0, 1, 1, 1, 1])
  await end()
})

test('deleting, patching and labelling can be tried', async () => {
  const { store, margay, end } = await aNetwork()
  await margay(['apply', '-f', '-'], `${policy('p')}---\n${policy('q')}`)
  await margay(['delete', 'gnp', 'p', '--confirm', '60s'])
  assert.ok(await store.get(key('p'), never))
  assert.match((await margay(['confirm'])).out, /^globalnetworkpolicy\/p deleted\n/)
  assert.is(await store.get(key('p'), never), undefined)
  await margay(['patch', 'gnp', 'q', '-p', '{spec: {order: 77}}', '--confirm', '60s'])
  await margay(['confirm'])
  assert.match((await store.get(key('q'), never))?.value ?? '', /"order":77/)
  await margay(['label', 'gnp', 'q', 'a=b', '--confirm', '60s'])
  assert.not.match((await store.get(key('q'), never))?.value ?? '', /"a":"b"/)
  await margay(['confirm'])
  assert.match((await store.get(key('q'), never))?.value ?? '', /"a":"b"/)
  await end()
})

test('a host that refuses, and one that says nothing, are named, and the exit code is 3', async () => {
  const { margay, end } = await aNetwork({ h1: {}, h2: { state: 'refused', reasons: ['chains jump in a circle'] }, h3: undefined })
  const done = await margay(['apply', '-f', '-', '--confirm', '60s', '--wait', '1'], policy('p'))
  assert.is(done.code, 3)
  assert.match(
    done.out,
    /: running on 1 of 3 hosts\n {2}h2 refuses it and keeps the policy that it has: chains jump in a circle\n {2}h3 did not answer within 1 s\n/,
  )
  await end()
})

const POOL = 'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p1}\nspec: {cidr: 10.1.0.0/16}\n'
const faults: readonly (readonly [name: string, argv: readonly string[], stdin: string, code: number, err: RegExp])[] = [
  [
    'what is no policy',
    ['--confirm', '60s'],
    POOL,
    1,
    /IPPool p1 can't be tried: only policies, tiers, profiles, network sets and host endpoints can/,
  ],
  ['no duration', ['--confirm', 'soon'], policy('p'), 2, /'soon' is invalid\. Give whole seconds or minutes from 5s to 1h/],
  ['a number without a unit', ['--confirm', '60'], policy('p'), 2, /'60' is invalid/],
  ['too short a time', ['--confirm', '4s'], policy('p'), 2, /from 5s to 1h/],
  ['too long a time', ['--confirm', '61m'], policy('p'), 2, /from 5s to 1h/],
  ['a dry run', ['--confirm', '60s', '--dry-run'], policy('p'), 2, /give one of --confirm and --dry-run/],
  ['a policy of a tier that is not there', ['--confirm', '60s'], policy('x').replace('order:', 'tier: web, order:'), 1, /tier/],
]
for (const [name, argv, stdin, code, err] of faults) {
  test(`${name} is refused, and nothing is written`, async () => {
    const { store, margay, end } = await aNetwork()
    const done = await margay(['apply', '-f', '-', ...argv], stdin)
    assert.is(done.code, code)
    assert.match(done.err, err)
    assert.equal(await listAll(store, '/'), [])
    await end()
  })
}

test('what is as it should be already is not tried', async () => {
  const { store, margay, end } = await aNetwork()
  await margay(['apply', '-f', '-'], policy('p'))
  const done = await margay(['apply', '-f', '-', '--confirm', '60s'], policy('p'))
  assert.equal(done, {
    code: 0,
    out: 'globalnetworkpolicy/p unchanged (to be tried)\nnothing would be different: there is nothing to try\n',
    err: '',
  })
  assert.equal(await listAll(store, MARGAY_PREFIX), [])
  await end()
})

test('calicoctl has no trials', async () => {
  const store = new MemoryStore()
  const done = await run(['apply', '-f', '-', '--confirm', '60s'], { store, stdin: policy('p'), env, program: 'calicoctl' })
  assert.is(done.code, 1)
  assert.match(done.err, /unknown option '--confirm'/)
})

test.run()
