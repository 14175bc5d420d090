// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, run, start, stop, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import { overlay } from '../../scripts/lab/lab.ts'
import { untilReached } from '../support/fault.ts'
import { refused, succeeded, withIdleLab, withLab } from '../support/scenario.ts'

const test = suite('lab/refusals')

test('a second daemon on one host refuses', async () => {
  await withLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    refused(await lab.daemon('h1').runToEnd(), 'already')
    assert.ok((await lab.daemon('h1').status()).isReady, 'the first one goes on')
  })
})

test('a VXLAN device of somebody else on our port is refused with its name', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const daemon = lab.daemon('h1')
    await run(MACHINE, [
      'ip',
      '-n',
      daemon.host.name,
      'link',
      'add',
      'theirs',
      'type',
      'vxlan',
      'id',
      '4096',
      'dstport',
      '4789',
      'dev',
      'eth0',
    ])
    await run(MACHINE, ['ip', '-n', daemon.host.name, 'link', 'set', 'theirs', 'up'])
    daemon.launch()
    await until({ what: 'the device to be named' }, async () =>
      JSON.stringify(await daemon.status()).includes('theirs') ? true : undefined,
    )
    assert.match(await run(MACHINE, ['ip', '-n', daemon.host.name, 'link', 'show', 'dev', 'theirs']), 'theirs', 'it is left alone')
  })
})

test('a UDP socket of somebody else on our port is refused with the name of its program', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const program = "require('node:dgram').createSocket('udp4').bind(4789)"
    const holder = start(daemon.host, [process.execPath, '-e', program])
    await until({ what: 'the port to be taken' }, async () =>
      (await run(daemon.host, ['ss', '-lun'])).includes(':4789') ? true : undefined,
    )
    daemon.launch()
    await until({ what: 'the program to be named' }, async () =>
      JSON.stringify(await daemon.status()).includes(`${holder.pid}`) ? true : undefined,
    )
    await stop(holder, 'SIGKILL')
  })
})

test('no etcd and no embedded one is an error that names both keys', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain', config: { etcd: { endpoints: [] } } }, async (lab) => {
    refused(await lab.daemon('h1').runToEnd(), 'etcd.endpoints', 'etcd.embedded')
  })
})

test('what is found wrong when all is being opened ends the daemon with its reason', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const wrong: readonly (readonly [more: Readonly<Record<string, unknown>>, reason: string])[] = [
      [{ etcd: { endpoints: ['https://192.0.2.254:2379'], caFile: '/nowhere/ca.crt' } }, '/nowhere/ca.crt'],
      [{ etcd: { endpoints: ['http://192.0.2.254:2379'] }, health: { host: '203.0.113.1' } }, '203.0.113.1'],
    ]
    for (const [more, reason] of wrong) {
      daemon.configure({ node: { name: 'h1' }, ...more })
      refused(await daemon.runToEnd(), reason)
    }
  })
})

test('a host with a name that another host has, at another address, is refused and changes nothing', async () => {
  await withIdleLab({ hosts: [0, 0], etcd: 'plain' }, async (lab) => {
    const [first, second] = [lab.daemon('h1'), lab.daemon('h2')]
    await first.start()
    second.configure({ node: { name: 'h1' }, etcd: { endpoints: [lab.etcd.endpoint] } })
    refused(await second.runToEnd(), 'h1', first.host.ipv4)
    const node = succeeded(await first.margay(['get', 'node', 'h1', '-o', 'json']))
    assert.match(node, first.host.ipv4)
    assert.not.match(node, second.host.ipv4)
  })
})

test('two hosts with one tunnel address: the first by name stays, status says so of the other', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [first, second] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')]
    await untilReached(first, second)
    const key = '/calico/resources/v3/projectcalico.org/nodes/'
    const node = JSON.parse(await lab.etcd.control(['get', `${key}h2`, '--print-value-only'])) as Record<string, Record<string, unknown>>
    const copy = {
      ...node,
      metadata: { ...node['metadata'], name: 'z2' },
      spec: { ...node['spec'], bgp: { ipv4Address: '192.0.2.99/24' } },
    }
    await lab.etcd.control(['put', `${key}z2`, JSON.stringify(copy)])
    await untilStatus(lab.daemon('h1'), 'the reason', ({ peers }) =>
      peers.some((peer) => peer.node === 'z2' && peer.family === 4 && !peer.isReachable && (peer.reason ?? '').includes('h2')),
    )
    await untilReached(first, second)
  })
})

const tlsFaults: readonly { readonly title: string; readonly etcd: Readonly<Record<string, unknown>>; readonly words: RegExp }[] = [
  { title: 'without a client certificate', etcd: { certFile: '', keyFile: '' }, words: /certificate|tls|ssl/i },
  {
    title: 'with an authority that did not sign the server',
    etcd: { caFile: '/etc/ssl/certs/ca-certificates.crt' },
    words: /certificate|issuer/i,
  },
]
for (const { title, etcd, words } of tlsFaults) {
  test(`etcd over TLS ${title}: not ready, and says why`, async () => {
    await withIdleLab({ hosts: [0, 0], etcd: 'embedded' }, async (lab) => {
      const daemon = lab.daemon('h2')
      const paths = { caFile: '/etc/margay/ca.crt', certFile: '/etc/margay/client.crt', keyFile: '/etc/margay/client.key' }
      daemon.configure({ node: { name: 'h2' }, etcd: overlay({ endpoints: [lab.etcd.endpoint], ...paths }, etcd) })
      daemon.launch()
      await until({ what: 'the reason', deadlineMs: 15_000 }, async () =>
        words.test((await daemon.status()).store.reason ?? '') ? true : undefined,
      )
      assert.is((await daemon.status()).isReady, false)
    })
  })
}

test('etcd away at the first start: the daemon keeps trying, says so, and touches nothing', async () => {
  await withIdleLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    await lab.etcd.stop('SIGKILL')
    const look = async () => [
      await run(MACHINE, ['ip', '-n', daemon.host.name, '-br', 'addr']),
      await run(MACHINE, ['ip', '-n', daemon.host.name, 'route']),
      await run(daemon.host, ['nft', 'list', 'ruleset']),
      await run(daemon.host, ['sysctl', 'net.ipv4.ip_forward']),
    ]
    const before = await look()
    daemon.launch()
    await until({ what: 'the reason', deadlineMs: 15_000 }, async () =>
      (await daemon.status()).store.reason === undefined ? undefined : true,
    )
    assert.equal(await look(), before)
    await lab.etcd.start()
    await until({ what: 'the daemon to be ready', deadlineMs: 15_000 }, async () => ((await daemon.status()).isReady ? true : undefined))
  })
})

test('etcd away later: what needs it fails within 5 s, traffic and what is known go on', async () => {
  await withLab({ hosts: [0, 1], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const [first, second] = [await lab.addWorkload('h1', 'w1'), await lab.addWorkload('h2', 'w2')]
    await untilReached(first, second)
    await lab.etcd.stop('SIGKILL')
    const namespace = await lab.topology.addNamespace('w3')
    const asked = performance.now()
    refused(await lab.daemon('h1').margay(['workload', 'add', 'w3', '--netns', namespace.path]), 'etcd')
    const took = performance.now() - asked
    assert.ok(took < 6500, `the daemon and the start of the program took ${Math.round(took)} ms`)
    await untilReached(first, second)
    assert.match(succeeded(await lab.daemon('h1').margay(['workload', 'list'])), 'w1')
  })
})

test('a network namespace that is not there is refused by its path', async () => {
  await withLab({ hosts: [0], etcd: 'plain' }, async (lab) => {
    const add = (...args: readonly string[]) => lab.daemon('h1').margay(['workload', 'add', 'w1', ...args])
    refused(await add('--netns', '/run/netns/nowhere'), '/run/netns/nowhere')
    refused(await add('--netns', '/etc/hostname'), '/etc/hostname')
    refused(await add('--pid', '4194303'), '4194303')
  })
})

test.run()
