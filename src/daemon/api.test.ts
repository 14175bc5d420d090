import { once } from 'node:events'
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFolder, aLog, until } from '../../test/support/daemon.ts'
import { ConflictError, IpamError, KernelError, StoreError, ValidationError } from '../errors.ts'
import type { WorkloadReport } from '../model/own/api.ts'
import { type ApiHandlers, serveApi } from './api.ts'

const test = suite('daemon/api')

const report: WorkloadReport = {
  ...{ name: 'w1', namespace: 'default', orchestrator: 'margay', addresses: ['10.65.1.9'], interface: 'mgy1', labels: {}, state: 'up' },
}

function someHandlers(over: Partial<ApiHandlers> = {}): ApiHandlers {
  const notAsked = () => {
    throw new Error('was not to be asked')
  }
  return {
    status: notAsked,
    desired: () => ({ routes: {} }),
    diff: async () => ({ differences: [] }),
    workloads: () => [report],
    workload: (_namespace, name) => (name === 'w1' ? report : undefined),
    attach: async ({ name }) => ({ ...report, name }),
    detach: async (_namespace, name) => name === 'w1',
    passes: () => [],
    reload: () => {},
    flows: (isFollowing) => [JSON.stringify({ isFollowing })],
    stats: async () => ({ node: 'h1', rules: [] }),
    observe: async ({ seconds }) => ({ node: 'h1', seconds, endpoints: {}, denied: 0, allowed: 0, groups: [], groupsTotal: 0 }),
    exposed: async ({ from }) => ({ node: 'h1', places: [from ?? 'world'], ports: [], warnings: [] }),
    record: async function* () {
      yield '{}'
    },
    ...over,
  }
}

async function withApi(over: Partial<ApiHandlers>, work: (socket: string, lines: readonly string[]) => Promise<void>): Promise<void> {
  const [folder, log] = [aFolder(), aLog()]
  const socket = join(folder.path, 'run', 'margay.sock')
  const server = await serveApi(socket, someHandlers(over), { groupId: undefined, folder: join(folder.path, 'run') }, log)
  try {
    await work(socket, log.lines)
  } finally {
    server.close()
    server.closeAllConnections()
    folder.close()
  }
}

function send(socketPath: string, method: string, path: string, body?: string): ClientRequest {
  const sent = request({ socketPath, method, path, agent: false })
  // After the answer to a long body the connection may end with EPIPE, although all of it was read.
  sent.on('error', () => {})
  return sent.end(body)
}

async function ask(socketPath: string, method: string, path: string, body?: string) {
  const [response] = (await once(send(socketPath, method, path, body), 'response')) as [IncomingMessage]
  return { status: response.statusCode, body: await text(response) }
}

const asked = [
  { ask: 'GET /v1/desired', want: '200 {"routes":{}}' },
  { ask: 'GET /v1/diff', want: '200 {"differences":[]}' },
  { ask: 'GET /v1/workloads', want: `200 [${JSON.stringify(report)}]` },
  { ask: 'GET /v1/workloads/default/w1', want: `200 ${JSON.stringify(report)}` },
  { ask: 'GET /v1/workloads/default/w2', want: '404 not-found: this host has no workload default/w2' },
  { ask: 'GET /v1/workloads/default', want: '404 not-found: a workload is /v1/workloads/NAMESPACE/NAME' },
  { ask: 'PUT /v1/workloads/default/w1', want: '404 not-found: the API does not know PUT of a workload' },
  { ask: 'DELETE /v1/workloads/default/w1', want: '204 ' },
  { ask: 'DELETE /v1/workloads/default/w2', want: '404 not-found: this host has no workload default/w2' },
  { ask: 'POST /v1/reload', want: '204 ' },
  { ask: 'GET /v1/reload', want: '404 not-found: the API does not know GET /v1/reload' },
  { ask: 'GET /v1/status/more', want: '404 not-found: the API does not know GET /v1/status/more' },
  { ask: 'GET /v2/status', want: "404 not-found: there is no /v2/status: the API's paths begin with /v1" },
  { ask: 'GET /v1/status', want: '500 internal: was not to be asked' },
  { ask: 'GET /v1/%zz', want: '400 validation: not a path: "/v1/%zz": URI malformed' },
  { ask: 'GET //', want: "404 not-found: there is no //: the API's paths begin with /v1" },
  { ask: 'GET /v1/debug/record?seconds=1', want: '200 {}' },
  { ask: 'GET /v1/debug/record?seconds=0', want: '400 validation: seconds must be a positive number, not "0"' },
  { ask: 'GET /v1/debug/record?seconds=soon', want: '400 validation: seconds must be a positive number, not "soon"' },
]

function shown({ status, body }: { status: number | undefined; body: string }): string {
  const parsed = body === '' ? undefined : (JSON.parse(body) as { error?: { code: string; message: string } })
  return `${status} ${parsed?.error === undefined ? body.trimEnd() : `${parsed.error.code}: ${parsed.error.message}`}`
}

for (const { ask: line, want } of asked) {
  test(`${line} is answered with ${want.slice(0, 60)}`, () =>
    withApi({}, async (socket) => {
      const [method = '', path = ''] = line.split(' ')
      assert.is(shown(await ask(socket, method, path)), want)
    }))
}

const netns = '/run/netns/w1'
const bodies = [
  { body: '{', want: /^400 validation: the request is not JSON/ },
  { body: 'null', want: /name is missing; exactly one of netns and pid must be given$/ },
  { body: JSON.stringify({ name: 'w1' }), want: /bad workload request: exactly one of netns and pid must be given$/ },
  { body: JSON.stringify({ name: 'w1', netns, pid: 7 }), want: /exactly one of netns and pid/ },
  { body: JSON.stringify({ name: 'w1', pid: 0 }), want: /pid must be a positive integer/ },
  { body: JSON.stringify({ name: 1, netns }), want: /name must be a string; name is missing/ },
  { body: JSON.stringify({ name: 'w1', netns, ips: '10.65.1.9' }), want: /ips must be a list of strings/ },
  { body: JSON.stringify({ name: 'w1', netns, labels: { a: 1 } }), want: /labels must be an object of strings/ },
  { body: JSON.stringify({ name: 'w1', netns, pools: [1] }), want: /pools must be a list of strings/ },
  { body: JSON.stringify({ name: 'w1', netns }), want: /^200 \{"name":"w1"/ },
]
for (const { body, want } of bodies) {
  test(`to attach ${body} is answered with ${want.source}`, () =>
    withApi({}, async (socket) => assert.match(shown(await ask(socket, 'POST', '/v1/workloads', body)), want)))
}

test('a body that is too long is refused with an answer', () =>
  withApi({}, async (socket) => {
    const answer = await ask(socket, 'POST', '/v1/workloads', 'x'.repeat(3 << 20))
    assert.is(shown(answer), '400 validation: the request is over 1048576 bytes')
  }))

const errors = [
  { error: new ValidationError('bad'), status: 400 },
  { error: new ConflictError('not-found', 'no namespace'), status: 404 },
  { error: new ConflictError('exists', 'there already'), status: 409 },
  { error: new IpamError('no-address', 'no free address'), status: 409 },
  { error: new StoreError('away', { isTransient: true }), status: 503 },
  { error: new KernelError('refused'), status: 503 },
  { error: new TypeError('a fault of ours'), status: 500 },
]
for (const { error, status } of errors) {
  test(`${error.name} is ${status}`, () =>
    withApi({ attach: () => Promise.reject(error) }, async (socket, lines) => {
      const answer = await ask(socket, 'POST', '/v1/workloads', JSON.stringify({ name: 'w1', netns }))
      assert.is(answer.status, status)
      assert.match(answer.body, error.message)
      assert.is(lines.length, 1)
    }))
}

test('a configuration that is wrong is answered with everything that is wrong', () => {
  const refuse = () => {
    throw new ValidationError('the configuration has 2 errors:\n  a\n  b')
  }
  return withApi({ reload: refuse }, async (socket) => {
    assert.is(shown(await ask(socket, 'POST', '/v1/reload')), '400 validation: the configuration has 2 errors:\n  a\n  b')
  })
})

test('who hangs up while a workload is attached ends the attaching', async () => {
  let isAborted = false
  const attach: ApiHandlers['attach'] = (_request, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        isAborted = true
        reject(new StoreError('given up', { isTransient: true }))
      })
      sent.destroy()
    })
  let sent: ClientRequest
  await withApi({ attach }, async (socket) => {
    sent = send(socket, 'POST', '/v1/workloads', JSON.stringify({ name: 'w1', netns }))
    await until('the handler to be told', () => isAborted)
  })
})

test('who hangs up ends his recording, also while lines wait to be read', async () => {
  let isOver = false
  const record: ApiHandlers['record'] = async function* () {
    try {
      for (;;) yield 'x'.repeat(100_000)
    } finally {
      isOver = true
    }
  }
  await withApi({ record }, async (socket, lines) => {
    const sent = send(socket, 'GET', '/v1/debug/record')
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    await once(response, 'readable')
    sent.destroy()
    await until('the recording to end', () => isOver)
    assert.equal(lines, [])
  })
})

test('the socket is for root and the group, in a folder of its own, and takes the place of one that was left over', async () => {
  const folder = aFolder()
  const run = join(folder.path, 'run')
  mkdirSync(run)
  chmodSync(run, 0o755)
  const socket = join(run, 'margay.sock')
  writeFileSync(socket, '')
  const server = await serveApi(socket, someHandlers(), { groupId: 4711, folder: run }, aLog())
  try {
    const modes = [run, socket].map((path) => statSync(path)).map(({ mode, uid, gid }) => `${(mode & 0o777).toString(8)} ${uid}:${gid}`)
    assert.equal(modes, ['750 0:4711', '660 0:4711'])
  } finally {
    server.close()
    folder.close()
  }
})

test('a folder that is not the daemon’s own is left as it is', async () => {
  const folder = aFolder()
  chmodSync(folder.path, 0o755)
  const server = await serveApi(join(folder.path, 'm.sock'), someHandlers(), { groupId: 4711, folder: '/run/margay' }, aLog())
  try {
    const { mode, gid } = statSync(folder.path)
    assert.is(`${(mode & 0o777).toString(8)} ${gid}`, '755 0')
  } finally {
    server.close()
    folder.close()
  }
})

test.run()
