import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Asked, aStatus, run, startFakeDaemon } from '../../test/support/cli.ts'

const test = suite('cli/program')

const usage: readonly (readonly [argv: readonly string[], err: RegExp])[] = [
  [[], /Usage: margay/],
  [['statsu'], /^margay: unknown command 'statsu'\n\(Did you mean status\?\)/],
  [['status', '--wiat'], /unknown option '--wiat'\n\(Did you mean --wait\?\)/],
  [['status', '-o', 'xml'], /argument 'xml' is invalid. Allowed choices are text, json/],
  [['status', '--wait', '0'], /Give a whole number from 1 to 86400/],
  [['workload'], /Usage: margay workload/],
  [['workload', 'add'], /missing required argument 'name'/],
  [['workload', 'add', 'web'], /margay: give exactly one of --netns and --pid/],
  [['workload', 'add', 'web', '--netns', 'a', '--pid', '1'], /margay: give exactly one of --netns and --pid/],
  [['workload', 'add', 'Web', '--netns', 'a'], /margay: "Web" is not a name, give lower-case/],
  [['workload', 'add', 'web', '--netns', 'a', '-n', '../x'], /Give lower-case letters/],
  [['workload', 'add', 'web', '--netns', 'a', '--ip', '10.65.0'], /margay: --ip "10.65.0" is not an IP address/],
  [['workload', 'add', 'web', '--netns', 'a', '--ip', '10.65.0.1', '--ip', '10.65.0.2'], /--ip 10.65.0.2 is the second of its family/],
  [['workload', 'add', 'web', '--netns', 'a', '--label', 'x'], /--label "x" is not a label, give key=value/],
  [
    ['config', 'check', '--etcd-endpoints', 'etcd.example:2379'],
    /--etcd-endpoints: etcd.endpoints: "etcd.example:2379" is not an endpoint/,
  ],
]
for (const [argv, err] of usage) {
  test(`"margay ${argv.join(' ')}" is wrong usage`, async () => {
    const done = await run(argv)
    assert.match(done.err, err)
    assert.equal([done.code, done.out], [2, ''])
  })
}

test('a switch also stands alone and with --no-, as the daemon takes it', async () => {
  const argv = ['config', 'show', '-o', 'json', '--etcd-embedded', '--no-health-enabled', '--networking-enabled', 'false']
  const shown = JSON.parse((await run(argv)).out)
  assert.equal(
    ['etcd.embedded', 'health.enabled', 'networking.enabled'].map((key) => shown[key].value),
    [true, false, false],
  )
  assert.not.match((await run(['config', 'show', '--help'])).out, /preset|--no-/)
})

test('help of every command ends with 0, and every command that does something has examples', async () => {
  for (const words of [
    ['status'],
    ['workload', 'add'],
    ['workload', 'rm'],
    ['config', 'check'],
    ['debug', 'record'],
    ['diff'],
    ['version'],
  ]) {
    const done = await run([...words, '--help'])
    assert.is(done.code, 0)
    assert.match(done.out, /Examples:/, words.join(' '))
  }
})

test('a daemon that is not running is said in one line', async () => {
  const done = await run(['status', '--api-socket', '/nowhere/margay.sock'])
  assert.is(done.code, 1)
  assert.is(
    done.err,
    'margay: margayd is not running on this host (nobody listens on /nowhere/margay.sock); start it with "systemctl start margayd"\n',
  )
})

test('a user without permission is told what would help', async () => {
  if (process.getuid?.() !== 0) return
  const daemon = await startFakeDaemon(() => ({ body: aStatus() }))
  const file = join(mkdtempSync(join(tmpdir(), 'mgt-cli-')), 'c.json')
  writeFileSync(file, '{}', { mode: 0o600 })
  process.seteuid?.(65534)
  try {
    const done = await run(['status', '--api-socket', daemon.socket])
    assert.equal(
      [done.code, done.err],
      [1, `margay: no permission to use ${daemon.socket}; run this as root or as a member of the group that owns it\n`],
    )
    const unread = await run(['config', 'check', '--config', file])
    assert.match(unread.err, /c\.json: the file cannot be read: EACCES/)
  } finally {
    process.seteuid?.(0)
    daemon.close()
    rmSync(dirname(file), { recursive: true })
  }
})

/** Runs against a daemon that answers so, and gives what it was asked. */
async function withDaemon(argv: readonly string[], answer: (asked: Asked) => { readonly status?: number; readonly body?: unknown }) {
  const daemon = await startFakeDaemon(answer)
  try {
    const done = await run([...argv, '--api-socket', daemon.socket])
    return { ...done, asked: daemon.asked }
  } finally {
    daemon.close()
  }
}

test('status shows the host, its peers, failures and warnings', async () => {
  const [reachable] = aStatus().peers
  assert.ok(reachable)
  const { tunnel: _, nextHop: __, mtuBytes: ___, lastSeen: ____, ...bare } = reachable
  const unreachable = { ...bare, node: 'h3', mode: 'none', blocks: 0, isAlive: false, isReachable: false, reason: 'no tunnel address yet' }
  const body = aStatus({
    isReady: false,
    notReady: ['first pass is not complete'],
    peers: [reachable, unreachable, { ...reachable, node: 'h4', isAlive: false }],
    failures: [{ table: 'routes', key: '254 10.65.1.0/26 0', reason: 'no such device' }],
    warnings: ['etcd has 2 members that differ'],
  })
  const done = await withDaemon(['status'], () => ({ body }))
  assert.is(done.code, 0)
  assert.is(
    done.out,
    `Node        h1 (margay 1.2.3)
Ready       no: first pass is not complete
Mode        vxlan
Etcd        connected (http://192.0.2.1:2379)
Revision    42, applied
Addresses   192.0.2.1/24
Tunnel      10.65.0.0
MTU         1450
Workloads   2
Repairs     0

PEER   FAMILY   MODE    TUNNEL         NEXT HOP    MTU    BLOCKS   LAST SEEN   STATE
h2     IPv4     vxlan   margay.vxlan   10.65.1.0   1450   1        now         reachable
h3     IPv4     none    -              -           -      0        unknown     not reachable: no tunnel address yet
h4     IPv4     vxlan   margay.vxlan   10.65.1.0   1450   1        5s ago      routed, but not alive

Failures:
TABLE    KEY                  REASON
routes   254 10.65.1.0/26 0   no such device

Warnings:
  etcd has 2 members that differ
`,
  )
})

test('many failures with one reason are one row of status', async () => {
  const failures = ['fdb', 'fdb', 'neighbours', 'routes'].map((table, key) => ({
    table,
    key: String(key),
    reason: 'waits for margay.vxlan',
  }))
  const done = await withDaemon(['status'], () => ({ body: aStatus({ failures }) }))
  assert.match(done.out, /^fdb, neighbours, routes +4 entries +waits for margay.vxlan$/m)
})

test('while etcd is away nobody knows who is alive', async () => {
  const store = { endpoints: ['http://192.0.2.1:2379'], isConnected: false, isFromSavedView: true, reason: 'connection refused' }
  const done = await withDaemon(['status'], () => ({ body: aStatus({ store }) }))
  assert.match(done.out, /^Etcd +not connected: connection refused \(http:\/\/192.0.2.1:2379\), working from the saved view$/m)
  assert.match(done.out, /^h2 .* unknown +routed$/m)
})

test('status --wait asks until the host is ready', async () => {
  let asked = 0
  const done = await withDaemon(['status', '--wait', '20', '-o', 'json'], () => ({ body: aStatus({ isReady: ++asked > 2 }) }))
  assert.equal([done.code, asked, JSON.parse(done.out).isReady], [0, 3, true])
})

test('status --wait ends with 1 and the reason when the time is over', async () => {
  const done = await withDaemon(['status', '--wait', '1'], () => ({ body: aStatus({ isReady: false, notReady: ['etcd: refused'] }) }))
  assert.equal([done.code, done.err], [1, 'margay: not ready in time: etcd: refused\n'])
})

test('workload add sends what was asked, with absolute paths', async () => {
  const report = {
    name: 'web',
    namespace: 'shop',
    orchestrator: 'margay',
    addresses: ['10.65.0.9'],
    interface: 'mgy0123456789a',
    labels: {},
    state: 'up',
  }
  const flags = [
    '--netns',
    'web',
    '-n',
    'shop',
    '--ip',
    '10.65.0.9',
    '--ip',
    '2001:DB8::9',
    '--label',
    'app=web',
    '--label',
    'tier=',
    '--pool',
    'p1',
  ]
  const done = await withDaemon(['workload', 'add', 'web', ...flags], () => ({ body: report }))
  assert.equal([done.code, done.out], [0, 'workload shop/web has 10.65.0.9 on mgy0123456789a\n'])
  assert.equal(done.asked, [
    {
      method: 'POST',
      url: '/v1/workloads',
      body: {
        name: 'web',
        namespace: 'shop',
        netns: '/run/netns/web',
        ips: ['10.65.0.9', '2001:db8::9'],
        labels: { app: 'web', tier: '' },
        pools: ['p1'],
      },
    },
  ])
})

test('what the daemon refuses is said in its words', async () => {
  const done = await withDaemon(['workload', 'add', 'web', '--pid', '7'], () => ({
    status: 503,
    body: { error: { code: 'no-address', message: 'no free address' } },
  }))
  assert.equal([done.code, done.err], [1, 'margay: no free address\n'])
  const odd = await withDaemon(['status'], () => ({ status: 500, body: 'oops' }))
  assert.equal([odd.code, odd.err], [1, 'margay: margayd answered with status 500: oops\n'])
  const broken = await withDaemon(['status'], () => ({ body: '{' }))
  assert.match(broken.err, /^margay: margayd's answer to \/v1\/status is not JSON/)
})

test('workload rm goes on after a failure, and ends with 3 when a part was done', async () => {
  const answer = ({ url }: Asked) =>
    url.endsWith('/b')
      ? { status: 404, body: { error: { code: 'not-found', message: 'this host has no workload default/b' } } }
      : { status: 204 }
  const part = await withDaemon(['workload', 'rm', 'a', 'b', 'c'], answer)
  assert.equal(
    [part.code, part.out, part.err],
    [3, 'workload default/a removed\nworkload default/c removed\n', 'margay: this host has no workload default/b\n'],
  )
  const none = await withDaemon(['workload', 'rm', 'b'], answer)
  assert.is(none.code, 1)
})

test('diff ends with 1 when something differs', async () => {
  const route = { destination: '10.65.1.0/26' }
  const differences = [
    { table: 'routes', key: 'a', want: route },
    { table: 'routes', key: 'b', have: route },
  ]
  const done = await withDaemon(['diff'], () => ({ body: { differences } }))
  const json = JSON.stringify(route)
  assert.equal([done.code, done.out], [1, `routes a: missing\n+ ${json}\nroutes b: not wanted\n- ${json}\n`])
  const same = await withDaemon(['diff'], () => ({ body: { differences: [] } }))
  assert.equal([same.code, same.out], [0, 'nothing differs\n'])
})

test('desired shows one table, and names the tables for one that is not there', async () => {
  const answer = () => ({ body: { routes: { a: { type: 'unicast' } }, fdb: {} } })
  const done = await withDaemon(['desired', 'routes'], answer)
  assert.equal([done.code, done.out], [0, 'a:\n  type: unicast\n'])
  const wrong = await withDaemon(['desired', 'route'], answer)
  assert.equal([wrong.code, wrong.err], [2, 'margay: there is no table "route", the tables are routes, fdb\n'])
})

test('debug record writes what comes to the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  const file = join(folder, 'r.ndjson')
  const done = await withDaemon(['debug', 'record', file, '--seconds', '2'], () => ({ body: '{"a":1}\n{"a":2}\n' }))
  assert.equal([done.code, done.err, done.asked[0]?.url], [0, `16 bytes written to ${file}\n`, '/v1/debug/record?seconds=2'])
  assert.is(readFileSync(file, 'utf8'), '{"a":1}\n{"a":2}\n')
  const bad = await withDaemon(['debug', 'record', join(folder, 'no/r')], () => ({ body: '' }))
  assert.equal([bad.code, bad.err.split(':')[1]], [1, ` the recording could not be written to ${folder}/no/r`])
  rmSync(folder, { recursive: true })
})

test('config check names all faults and ends with 1, and so do files that are missing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  const file = join(folder, 'c.json')
  writeFileSync(file, '{"etcd": {"endpoints": ["https://192.0.2.1:2379"], "caFile": "/nowhere/ca.pem"}}')
  const missing = await run(['config', 'check', '--config', file])
  assert.equal(
    [missing.code, missing.err],
    [1, `margay: the configuration has an error:\n  ${file}:1:52: etcd.caFile: the file "/nowhere/ca.pem" does not exist\n`],
  )
  const env = { MARGAY_CONFIG: file, MARGAY_MODE: 'bgp' }
  const wrong = await run(['config', 'check', '-o', 'json'], { env })
  assert.equal([wrong.code, JSON.parse(wrong.out).errors[0].source], [1, 'MARGAY_MODE'])
  const shown = await run(['config', 'show', '--mode=direct', '-o', 'json'], { env: { MARGAY_CONFIG: file } })
  assert.equal(JSON.parse(shown.out).mode, { value: 'direct', source: '--mode' })
  rmSync(folder, { recursive: true })
})

test('status works beside a configuration that is wrong elsewhere', async () => {
  const daemon = await startFakeDaemon(() => ({ body: aStatus() }))
  const done = await run(['status'], { env: { MARGAY_API_SOCKET: daemon.socket, MARGAY_MODE: 'bgp' } })
  daemon.close()
  assert.is(done.code, 0)
})

test('version asks the daemon for its own, and bears its absence', async () => {
  const both = await withDaemon(['version'], () => ({ body: aStatus({ version: '9.9.9' }) }))
  assert.equal([both.code, both.out], [0, 'Client   1.2.3\nDaemon   9.9.9\n'])
  assert.is((await run(['version', '--client'])).out, 'Client   1.2.3\n')
  assert.is((await run(['version', '--api-socket', '/nowhere/s'])).code, 0)
})

test.run()
