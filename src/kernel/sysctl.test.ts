import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectOnly, put, remove } from './conformance-kit.ts'
import { withNetns } from './netns.ts'
import { openRealWorld } from './real-world.ts'
import { readSysctl, writeSysctl } from './sysctl.ts'

const test = suite('kernel/sysctl')
const signal = new AbortController().signal

test('what was put is listed as it is now, and keeps its value when it is forgotten', async () => {
  const world = openRealWorld()
  try {
    const { kernel, netns } = world
    const sysctl = { key: 'net/ipv4/conf/eth0/rp_filter', value: '2' }
    await expectOnly(kernel, 'sysctls')
    await put(kernel, 'sysctls', sysctl)
    await expectOnly(kernel, 'sysctls', sysctl)
    withNetns(netns, () => writeSysctl(sysctl.key, '0'))
    await expectOnly(kernel, 'sysctls', { ...sysctl, value: '0' })
    await put(kernel, 'sysctls', sysctl)
    await remove(kernel, 'sysctls', sysctl)
    await expectOnly(kernel, 'sysctls')
    assert.is(
      withNetns(netns, () => readSysctl(sysctl.key)),
      '2',
    )
    world.ip('link add name.with.dots type bridge')
    await put(kernel, 'sysctls', { key: 'net/ipv4/conf/name.with.dots/rp_filter', value: '2' })
    assert.is(readSysctl('net/ipv4/conf/name.with.dots/rp_filter'), undefined)
  } finally {
    world.close()
  }
})

test('forwarding for all comes before that of an interface, which it would reset', async () => {
  const world = openRealWorld()
  try {
    const one = { key: 'net/ipv4/conf/eth0/forwarding', value: '0' }
    const all = { key: 'net/ipv4/ip_forward', value: '1' }
    const ra = { key: 'net/ipv6/conf/eth0/accept_ra', value: '2' }
    await put(world.kernel, 'sysctls', one, all, ra)
    await expectOnly(world.kernel, 'sysctls', one, all, ra)
  } finally {
    world.close()
  }
})

test('a parameter that is not there, a value that is not taken and a path out of the network are refused', async () => {
  const world = openRealWorld()
  try {
    const wrong = [
      { key: 'net/ipv4/conf/none/rp_filter', value: '1' },
      { key: 'net/ipv4/conf/eth0/rp_filter', value: 'many' },
      { key: 'net/../kernel/hostname', value: 'x' },
      { key: 'kernel/hostname', value: 'x' },
    ]
    const failures = await world.kernel.tables.sysctls.commit(
      { put: new Map(wrong.map((one) => [one.key, one])), remove: new Map() },
      signal,
    )
    assert.equal(
      wrong.map(({ key }) => failures.get(key)?.message),
      [
        'could not write "1" to the kernel parameter net/ipv4/conf/none/rp_filter',
        'could not write "many" to the kernel parameter net/ipv4/conf/eth0/rp_filter',
        'not a kernel parameter of a network: "net/../kernel/hostname"',
        'not a kernel parameter of a network: "kernel/hostname"',
      ],
    )
  } finally {
    world.close()
  }
})

test.run()
