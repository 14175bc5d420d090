import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { aNetwork, findFaults, never, readRecords, refusal } from './fixtures.ts'

const test = suite('ipam/assign-ip')

const wants = (handleId: string, count = 1) => ({ handleId, attributes: {}, count })

test('static and automatic requests share a pool to its last address', async () => {
  const { h1, h2, store } = await aNetwork({ a: ['10.65.0.0/29', { blockSize: 30 }] })
  await h1.assignIp({ ip: parseIp('10.65.0.1'), handleId: 's1', attributes: {} }, never)
  await h2.assignIp({ ip: parseIp('10.65.0.6'), handleId: 's2', attributes: {} }, never)
  const automatic = await h1.autoAssign(wants('auto', 6), never)
  assert.equal(automatic.map(({ ip }) => ip).sort(), ['10.65.0.0', '10.65.0.2', '10.65.0.3', '10.65.0.4', '10.65.0.5', '10.65.0.7'])
  assert.match(await refusal(h2.autoAssign(wants('more'), never)), 'ipam-full')
  assert.match(
    await refusal(h2.assignIp({ ip: parseIp('10.65.0.4'), handleId: 's3', attributes: {} }, never)),
    'ipam-taken: 10.65.0.4 is taken: handle "auto" on node "h1" holds it',
  )
  await h1.releaseByHandle('s1', never)
  assert.is((await h2.autoAssign(wants('more'), never))[0]?.ip, '10.65.0.1')
  assert.equal(await findFaults(store), [])
})

const statics: readonly { name: string; ip: string; use?: 'Tunnel'; want: string }[] = [
  {
    name: 'outside every pool',
    ip: '10.99.0.1',
    want: 'ipam-not-in-pool: no pool holds 10.99.0.1; there are: pool "a" (10.65.0.0/24), pool "b" (10.66.0.0/24), pool "c" (10.67.0.0/24)',
  },
  { name: 'of a family without pools', ip: 'fd00::1', want: 'ipam-not-in-pool: no pool holds fd00::1; there is no IPv6 pool' },
  {
    name: 'of a disabled pool',
    ip: '10.66.0.1',
    want: 'ipam-not-in-pool: 10.66.0.1 can\'t be given out: pool "b" (10.66.0.0/24), which holds it, is disabled',
  },
  { name: 'of a pool for other uses', ip: '10.67.0.1', want: 'does not allow the use Workload' },
]
for (const { name, ip, want } of statics) {
  test(`an address ${name} is refused with the reason`, async () => {
    const { h1 } = await aNetwork({
      a: '10.65.0.0/24',
      b: ['10.66.0.0/24', { disabled: true }],
      c: ['10.67.0.0/24', { allowedUses: ['Tunnel'] }],
    })
    const text = await refusal(h1.assignIp({ ip: parseIp(ip), handleId: 's', attributes: {} }, never))
    assert.ok(text.includes(want), text)
  })
}

test('an address by name makes its block ours, whatever the pool selects, and may be asked for again', async () => {
  const { h1, h2, store } = await aNetwork({ a: ['10.65.0.0/24', { nodeSelector: "zone == 'x'" }] })
  const request = { ip: parseIp('10.65.0.77'), handleId: 's', attributes: {} }
  const first = await h1.assignIp(request, never)
  assert.equal(await h1.assignIp(request, never), first)
  assert.match(await refusal(h2.assignIp(request, never)), 'handle "s" on node "h1" holds it')
  assert.equal((await readRecords(store)).affinities, [{ host: 'h1', cidr: parseCidr('10.65.0.64/26'), state: 'confirmed' }])
  assert.equal(await findFaults(store), [])
})

test.run()
