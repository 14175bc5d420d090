import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFelix, aPool } from '../../test/support/planning.ts'
import type { FelixConfiguration } from '../model/felix-configuration.ts'
import { planForwarding } from './forwarding.ts'
import { routeOwner } from './owner.ts'
import { felixSettings } from './settings.ts'

const test = suite('routing/owner')

test('a tunnel’s routes are ours, whatever the settings say', () => {
  for (const programClusterRoutes of ['Enabled', 'Disabled', 'EnabledIPIPOnly', 'EnabledNoEncapOnly', undefined] as const) {
    assert.equal(routeOwner(aPool('10.65.0.0/16'), programClusterRoutes === undefined ? {} : { programClusterRoutes }), { owner: 'margay' })
  }
})

test('routes without encapsulation are ours only where FelixConfiguration says so', () => {
  const pool = aPool('10.65.0.0/16', { vxlanMode: 'Never' })
  const owners = (['Enabled', 'EnabledNoEncapOnly', 'EnabledIPIPOnly', 'Disabled'] as const).map(
    (programClusterRoutes) => routeOwner(pool, { programClusterRoutes }).owner,
  )
  assert.equal(owners, ['margay', 'margay', 'bird', 'bird'])
  assert.equal(routeOwner(pool, {}), {
    owner: 'bird',
    problem:
      'pool 10.65.0.0/16 has no encapsulation and FelixConfiguration programClusterRoutes is "EnabledIPIPOnly": its routes are left to BGP, ' +
      'which is not built in this version; set it to "Enabled", or give the pool a vxlanMode',
  })
})

test('a pool with ipipMode is nobody’s', () => {
  assert.equal(routeOwner(aPool('10.65.0.0/16', { vxlanMode: 'Never', ipipMode: 'Always' }), { programClusterRoutes: 'Enabled' }), {
    owner: 'nobody',
    problem: 'pool 10.65.0.0/16 has ipipMode Always, and IP-in-IP is not built in this version: use vxlanMode',
  })
})

function configurations(...all: readonly FelixConfiguration[]): ReadonlyMap<string, FelixConfiguration> {
  return new Map(all.map((each) => [each.metadata.name, each]))
}

test('a node’s own settings stand over selected ones, and those over the default, field by field', () => {
  const all = configurations(
    aFelix('default', { vxlanVNI: 1, vxlanPort: 1, vxlanMTU: 1 }),
    aFelix('racks', { nodeSelector: "rack == 'a'", vxlanPort: 2, vxlanMTU: 2 }),
    aFelix('others', { nodeSelector: "rack == 'b'", vxlanPort: 9 }),
    aFelix('node.h1', { vxlanMTU: 3 }),
    aFelix('node.h2', { vxlanMTU: 9 }),
  )
  const { nodeSelector: _, ...settings } = felixSettings(all, 'h1', { rack: 'a' })
  assert.equal(settings, { vxlanVNI: 1, vxlanPort: 2, vxlanMTU: 3 })
  assert.equal(felixSettings(new Map(), 'h1', undefined), {})
})

test('of several selected settings the oldest holds, then the first by name', () => {
  const dated = (name: string, creationTimestamp: string, vxlanPort: number) => {
    const felix = aFelix(name, { nodeSelector: 'all()', vxlanPort })
    return { ...felix, metadata: { ...felix.metadata, creationTimestamp } }
  }
  const all = configurations(
    dated('c', '2026-01-02T00:00:00Z', 1),
    dated('b', '2026-01-01T00:00:00Z', 2),
    dated('a', '2026-01-02T00:00:00Z', 3),
  )
  assert.is(felixSettings(all, 'h1', {}).vxlanPort, 2)
})

test('interfaces with router advertisements keep them when the host begins to forward', () => {
  assert.equal(planForwarding({ isWanted: true, hasIpv6: true, advertisedLinks: ['eth1', 'eth0'] }), [
    { key: 'net/ipv4/ip_forward', value: '1' },
    { key: 'net/ipv6/conf/eth0/accept_ra', value: '2' },
    { key: 'net/ipv6/conf/eth1/accept_ra', value: '2' },
    { key: 'net/ipv6/conf/all/forwarding', value: '1' },
  ])
  assert.equal(planForwarding({ isWanted: true, hasIpv6: false, advertisedLinks: ['eth0'] }), [{ key: 'net/ipv4/ip_forward', value: '1' }])
  assert.equal(planForwarding({ isWanted: false, hasIpv6: true, advertisedLinks: ['eth0'] }), [])
})

test.run()
