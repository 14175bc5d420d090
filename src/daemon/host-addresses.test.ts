import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { NftObject, TableName } from '../kernel/objects.ts'
import { parseIp } from '../net/ip.ts'
import { Merger } from '../reconcile/merge.ts'
import { HostAddresses } from './host-addresses.ts'

const test = suite('daemon/host-addresses')

function hostSets(...addresses: readonly string[]): readonly NftObject[] {
  return ([4, 6] as const).map((family) => ({
    ...{ kind: 'set', name: `hosts${family}`, family, isInterval: false },
    elements: new Set(addresses.filter((one) => one.includes(':') === (family === 6))),
  }))
}

test('a host that comes, leaves or has another address makes another version, a plan with the same ones does not', () => {
  const merger = new Merger()
  const hosts = new HostAddresses(merger)
  const seen = (...addresses: readonly string[]) => {
    merger.set('frame', { policy: hostSets(...addresses) }, new Map<TableName, Set<string>>())
    return hosts.version
  }
  const none = hosts.version
  const versions = [
    seen('192.0.2.1'),
    seen('192.0.2.1'),
    seen('192.0.2.1', '2001:db8::1'),
    seen('2001:db8::1', '192.0.2.1'),
    seen('192.0.2.2', '2001:db8::1'),
    seen('192.0.2.2'),
  ]
  assert.equal(
    versions.map((version) => version - none),
    [1, 1, 2, 2, 3, 4],
  )
  assert.equal(
    ['192.0.2.1', '192.0.2.2', '2001:db8::1'].map((ip) => hosts.has(parseIp(ip))),
    [false, true, false],
  )
})

test.run()
