import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeError } from '../errors.ts'
import { serveHealth } from './health.ts'

const test = suite('observe/health')

const cases = [
  { ask: 'GET /liveness', want: '200 live' },
  { ask: 'GET /readiness', want: '503 etcd is away\nno address' },
  { ask: 'GET /readiness?verbose', want: '503 etcd is away\nno address' },
  { ask: 'HEAD /liveness', want: '200 ' },
  { ask: 'POST /liveness', want: '405 only GET is served here' },
  { ask: 'GET /metrics', want: '200 # HELP margay_x Help.\n# TYPE margay_x gauge\nmargay_x 1' },
  { ask: 'GET /', want: '404 there is /liveness, /readiness and /metrics' },
]

test('the questions are answered with 200, or 503 and the reasons', async () => {
  const metrics = [{ name: 'margay_x', help: 'Help.', type: 'gauge', samples: () => [{ value: 1 }] }] as const
  const server = await serveHealth({ notAlive: () => [], notReady: () => ['etcd is away', 'no address'], metrics }, '127.0.0.1', 0)
  try {
    const { port } = server.address() as AddressInfo
    for (const { ask, want } of cases) {
      const [method = '', path = ''] = ask.split(' ')
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
      assert.is(`${response.status} ${(await response.text()).trimEnd()}`, want)
    }
    const nothing = { notAlive: () => [], notReady: () => [], metrics }
    assert.is(
      await serveHealth(nothing, '127.0.0.1', port).then(String, describeError),
      `127.0.0.1:${port}, where health checks shall be served, is taken by another program: ss -ltnp 'sport = :${port}' names it; or give health.port another`,
    )
    assert.is(
      await serveHealth(nothing, '2001:db8::1', 9099).then(String, describeError),
      'could not listen on [2001:db8::1]:9099 for health checks (health.host, health.port): listen EADDRNOTAVAIL: address not available 2001:db8::1:9099',
    )
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test.run()
