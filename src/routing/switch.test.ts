import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aLocal, aPeer, aPool } from '../../test/support/planning.ts'
import { driverFor } from '../encap/drivers.ts'
import { parseIp } from '../net/ip.ts'
import { chooseEncap, pathTo, type SwitchInput } from './switch.ts'

const test = suite('routing/switch')

const cases: readonly ({ name: string; want: string } & Partial<SwitchInput>)[] = [
  { name: 'a peer that receives the wanted way is sent to that way', peerReceives: ['direct', 'vxlan'], want: 'direct' },
  { name: 'a live peer that still receives the old way only is sent to the old way', peerReceives: ['vxlan'], want: 'vxlan, waiting' },
  { name: 'a peer that was waited for too long is sent to the wanted way', peerReceives: ['vxlan'], hasTimedOut: true, want: 'direct' },
  { name: 'a peer that is not alive is not waited for', peerReceives: ['vxlan'], isPeerAlive: false, want: 'direct' },
  { name: 'a peer that says nothing of the pool is not waited for', peerReceives: undefined, want: 'direct' },
  { name: 'a peer that receives no way at all is not waited for', peerReceives: [], want: 'direct' },
  { name: 'a way whose device is gone is not kept', peerReceives: ['vxlan'], isStanding: (way) => way !== 'vxlan', want: 'direct' },
  { name: 'it goes the other way round too', wanted: 'vxlan', peerReceives: ['direct'], want: 'direct, waiting' },
]
for (const { name, want, ...input } of cases) {
  test(name, () => {
    const known: SwitchInput = {
      wanted: 'direct',
      peerReceives: undefined,
      isPeerAlive: true,
      hasTimedOut: false,
      isStanding: () => true,
      ...input,
    }
    const { way, isWaiting } = chooseEncap(known)
    assert.is(isWaiting ? `${way}, waiting` : way, want)
  })
}

const crossSubnet = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'CrossSubnet' }))
const vxlan = driverFor(aPool('10.65.0.0/16'))
const known = { local: aLocal(), family: 4, isPeerAlive: true, hasTimedOut: false, isStanding: () => true } as const

test('while a peer is waited for its packets go the old way, with all that stands beside it', () => {
  const path = pathTo({ ...known, driver: crossSubnet, peer: aPeer(), peerReceives: ['vxlan'] })
  assert.is(path.waitsFor, 'direct')
  assert.equal(path.reach, vxlan.reach(aLocal(), aPeer(), 4))
})

test('an old way that leads nowhere is not waited on', () => {
  const far = aPeer({ underlay: { 4: parseIp('198.51.100.2') } })
  const path = pathTo({ ...known, driver: vxlan, peer: far, peerReceives: ['direct'] })
  assert.equal(path, { reach: vxlan.reach(aLocal(), far, 4), waitsFor: undefined })
})

test('what can not be reached the wanted way is not reached the old way', () => {
  const direct = driverFor(aPool('10.65.0.0/16', { vxlanMode: 'Never' }))
  const far = aPeer({ underlay: { 4: parseIp('198.51.100.2') } })
  assert.is(pathTo({ ...known, driver: direct, peer: far, peerReceives: ['vxlan'] }).reach.via, 'none')
})

const untold = aPeer({ vtep: {} })

test('while a peer takes its tunnel address its packets go the old way', () => {
  const path = pathTo({ ...known, driver: vxlan, peer: untold, peerReceives: ['direct'] })
  assert.is(path.waitsFor, 'vxlan')
  assert.is(path.reach.via, 'direct')
})

test('a peer without a tunnel address is not waited for longer than others', () => {
  const path = pathTo({ ...known, hasTimedOut: true, driver: vxlan, peer: untold, peerReceives: ['direct'] })
  assert.is(path.reach.via, 'none')
})

test('a peer without a tunnel address that never received another way has no way', () => {
  assert.is(pathTo({ ...known, driver: vxlan, peer: untold, peerReceives: ['vxlan'] }).reach.via, 'none')
})

test.run()
