import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run, start, stop, until } from '../../scripts/lab/command.ts'
import { untilStatus } from '../../scripts/lab/daemon.ts'
import type { ObservedReport } from '../../src/model/own/observed.ts'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/observe')

const SERVER = `
const net = require('node:net')
net.createServer((socket) => socket.end()).listen(8000, '::', () => net.createServer((socket) => socket.end()).listen(9000, '::', () => console.log('listening')))
`
/** Connects to each port, and ends when all have answered. */
const CLIENT = `
const net = require('node:net')
let left = 2
for (const port of [8000, 9000]) net.connect(port, process.argv[1]).on('close', () => --left || process.exit(0)).resume()
`

test('what a host endpoint would drop is told by real connections, and nothing is left in the kernel', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain' }, async (lab) => {
    const [h1, h2] = [lab.daemon('h1'), lab.daemon('h2')]
    const rules = () => run(h1.host, ['nft', '-s', 'list', 'ruleset'])
    await untilStatus(h1, 'h2 among the peers', ({ peers }) => peers.some(({ node, isReachable }) => node === 'h2' && isReachable))
    const server = start(h1.host, [process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await until({ what: 'a program to listen' }, () => new Promise<true>((resolve) => server.stdout?.once('data', () => resolve(true))))
      const policy = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec: {selector: role == 'host', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [8000]}}]}
`
      succeeded(await h1.margay(['apply', '-f', '-', '--wait'], policy))
      const before = await rules()
      const words = ['observe', '--interface', 'eth0', '--label', 'role=host', '--duration', '3s', '-o', 'json']
      const observing = h1.margay(words)
      await run(h2.host, [process.execPath, '-e', CLIENT, h1.host.ipv4])
      await run(h2.host, [process.execPath, '-e', CLIENT, h1.host.ipv6])
      const report = JSON.parse(succeeded(await observing)) as ObservedReport
      assert.equal([report.node, report.endpoints], ['h1', { 'host endpoint observed': ['eth0'] }])
      const shown = report.groups
        .filter(({ direction, port }) => direction === 'in' && (port === 8000 || port === 9000))
        .map(({ verdict, port, peer, count }) => `${verdict} ${port} ${peer} ${count}`)
      assert.equal(shown.sort(), [
        'allow 8000 192.0.2.12 1',
        'allow 8000 2001:db8::12 1',
        'deny 9000 192.0.2.12 1',
        'deny 9000 2001:db8::12 1',
      ])
      const denied = report.groups.find(({ verdict, port }) => verdict === 'deny' && port === 9000)
      assert.is(denied?.because, 'to-host, host endpoint observed: no policy of tier default decided: its default is Deny')
      const etcd = report.groups.find(({ direction, peer }) => direction === 'out' && peer === '192.0.2.254')
      assert.is(etcd?.verdict, 'allow', JSON.stringify(report.groups))
      const text = succeeded(await h1.margay(['observe', '--interface', 'eth0', '--duration', '1s']))
      assert.match(text, /^\d+ of \d+ connections seen in 1 s would be denied \(host endpoint observed on eth0\)\n/)
      const wrong = await h1.margay(['observe', '--interface', 'eth7', '--duration', '1s'])
      assert.equal([wrong.code, /no interface of this host is one of host endpoint observed: h1 has .*eth0/.test(wrong.stderr)], [1, true])
      assert.is((await h1.margay(['observe', '--duration', '1s'])).code, 2)
      assert.is(await rules(), before)
    } finally {
      await stop(server, 'SIGKILL')
    }
  })
})

test.run()
