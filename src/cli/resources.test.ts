import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { liveKey, resourceKey } from '../model/keys.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'

const test = suite('cli/resources')

const never = new AbortController().signal
const etcd = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

/** Runs commands one after the other against one store, each with its own connection. */
function shell() {
  const store = new MemoryStore()
  return { store, margay: (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env: etcd }) }
}

function pool(name: string, cidr: string, more = ''): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: ${name}\nspec:\n  cidr: ${cidr}\n${more}---\n`
}

function node(name: string, address = '192.0.2.1/24'): string {
  return `apiVersion: projectcalico.org/v3\nkind: Node\nmetadata:\n  name: ${name}\nspec:\n  bgp:\n    ipv4Address: ${address}\n---\n`
}

function endpoint(host: string, workload: string, address: string): string {
  const spec = `  orchestrator: margay\n  workload: ${workload}\n  node: ${host}\n  endpoint: eth0\n  interfaceName: mgy0123456789a\n  ipNetworks: ["${address}"]\n`
  return `apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata:\n  namespace: shop\nspec:\n${spec}---\n`
}

test('apply creates, updates and leaves alone, and says which', async () => {
  const { margay } = shell()
  const both = pool('p1', '10.65.0.0/16') + pool('p2', '10.66.0.0/16')
  assert.equal(await margay(['apply', '-f', '-'], both), { code: 0, out: 'ippool/p1 created\nippool/p2 created\n', err: '' })
  const changed = pool('p1', '10.65.0.0/16') + pool('p2', '10.66.0.0/16', '  natOutgoing: true\n')
  assert.equal(await margay(['apply', '-f', '-'], changed), { code: 0, out: 'ippool/p1 unchanged\nippool/p2 updated\n', err: '' })
  const wide = await margay(['get', 'pools', '-o', 'wide'])
  assert.is(
    wide.out,
    `NAME   CIDR           NAT     IPIPMODE   VXLANMODE   DISABLED   DISABLEBGPEXPORT   SELECTOR   ASSIGNMENTMODE
p1     10.65.0.0/16   false   Never      Never       false      false              all()      Automatic
p2     10.66.0.0/16   true    Never      Never       false      false              all()      Automatic
`,
  )
})

test('create refuses what exists, replace what does not, each with its place; a part done ends with 3', async () => {
  const { margay } = shell()
  await margay(['create', '-f', '-'], pool('p1', '10.65.0.0/16'))
  const created = await margay(['create', '-f', '-'], pool('p1', '10.65.0.0/16') + pool('p2', '10.66.0.0/16'))
  assert.equal([created.code, created.out], [3, 'ippool/p2 created\n'])
  assert.match(created.err, /^margay: standard input \(line 1, column 1\): .*IPPool "p1" exists already/)
  const replaced = await margay(['replace', '-f', '-'], pool('p3', '10.67.0.0/16'))
  assert.equal([replaced.code, replaced.out], [1, ''])
  assert.match(replaced.err, /there is no ippool\/p3 to replace, "margay apply" creates it/)
  assert.is((await margay(['replace', '-f', '-'], pool('p2', '10.66.0.0/16', '  disabled: true\n'))).out, 'ippool/p2 updated\n')
})

test('nothing is written when one document of several is wrong, and every fault has file, line and column', async () => {
  const { margay } = shell()
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  mkdirSync(join(folder, 'deep'))
  writeFileSync(join(folder, 'a.yaml'), pool('p1', '10.65.0.0/16'))
  writeFileSync(join(folder, 'b.yml'), `${pool('p2', '10.66.0.1/16')}${pool('p3', '10.67.0.0/16', '  cdir: x\n')}`)
  writeFileSync(join(folder, 'c.json'), '{"kind": ]')
  writeFileSync(join(folder, 'notes.txt'), 'not a document')
  writeFileSync(join(folder, 'deep', 'd.yaml'), pool('p4', '10.68.0.0/16'))
  const done = await margay(['apply', '-f', folder])
  assert.equal([done.code, done.out], [1, ''])
  for (const part of [
    'b.yml: IPPool p2: spec.cidr (line 6, column 3)',
    'b.yml: IPPool p3: unknown field "spec.cdir" (line 14, column 3)',
    'c.json: not YAML',
  ]) {
    assert.ok(done.err.includes(part), `${part} in\n${done.err}`)
  }
  assert.is((await margay(['get', 'pools', '-o', 'name'])).out, '')
  rmSync(join(folder, 'b.yml'))
  rmSync(join(folder, 'c.json'))
  assert.is((await margay(['apply', '-f', folder, '-R'])).out, 'ippool/p1 created\nippool/p4 created\n')
  rmSync(folder, { recursive: true })
})

const unreadable: readonly (readonly [argv: readonly string[], code: number, err: RegExp])[] = [
  [['apply'], 2, /give -f FILE, -f FOLDER or -f -/],
  [['apply', '-f', '/nowhere/x.yaml'], 1, /"\/nowhere\/x.yaml" does not exist/],
  [['apply', '-f', '-', '-f', '-'], 2, /-f - is given twice/],
  [['apply', '-f', '-'], 1, /no resources in standard input/],
  [['get'], 2, /missing required argument 'kind'/],
  [['get', 'nodse'], 2, /"nodse" is not a kind: did you mean "node"\?/],
  [['get', 'qqqqqqqq'], 2, /is not a kind; kinds are BGPConfiguration, BGPFilter, /],
  [['get', 'nodes', '-A'], 2, /Node is not namespaced, leave -n and -A away/],
  [['get', 'wep', '-A', '-n', 'x'], 2, /give one of -n and -A/],
  [['get', 'nodes', 'H_1'], 2, /"H_1" is not a name/],
  [['get', 'nodes', 'h9'], 1, /there is no node\/h9/],
  [['delete', 'node'], 2, /give the names of what to delete/],
  [['delete', 'node', 'h1', '-f', 'x'], 2, /give either a kind and names, or -f/],
  [['delete', 'node', 'h9'], 1, /Node "h9" does not exist/],
  [['delete', 'tier', 'default'], 1, /the tier "default" is built in/],
  [['ipam', 'show', '--ip', 'x'], 2, /--ip "x" is not an IP address/],
  [['ipam', 'show', '--ip', '10.65.0.1', '--show-blocks'], 2, /give at most one of/],
]
for (const [argv, code, err] of unreadable) {
  test(`"margay ${argv.join(' ')}" ends with ${code} and says why`, async () => {
    const done = await shell().margay(argv)
    assert.match(done.err, err)
    assert.equal([done.code, done.out], [code, ''])
  })
}

test('without an etcd in the configuration every command says what to give', async () => {
  const done = await run(['get', 'nodes'])
  assert.is(done.code, 1)
  assert.match(done.err, /etcd.endpoints: no etcd is given, give etcd.endpoints, or etcd.embedded: true/)
})

test('a pool that overlaps another is refused', async () => {
  const { margay } = shell()
  const done = await margay(['apply', '-f', '-'], pool('p1', '10.65.0.0/16') + pool('p2', '10.65.4.0/24'))
  assert.equal([done.code, done.out], [3, 'ippool/p1 created\n'])
  assert.match(done.err, /\(line 8, column 1\): spec.cidr: 10.65.4.0\/24 overlaps 10.65.0.0\/16 of the pool "p1"/)
  const moved = await margay(['apply', '-f', '-'], pool('p1', '10.66.0.0/16'))
  assert.match(moved.err, /can't change from 10.65.0.0\/16 to 10.66.0.0\/16/)
})

test('get shows one as itself and several as a list, in yaml, json and names', async () => {
  const { margay } = shell()
  await margay(['apply', '-f', '-'], node('h1') + node('h2', '192.0.2.2/24'))
  assert.is((await margay(['get', 'no', '-o', 'name'])).out, 'node/h1\nnode/h2\n')
  const one = await margay(['get', 'node', 'h2', '-o', 'json'])
  assert.is(JSON.parse(one.out).spec.bgp.ipv4Address, '192.0.2.2/24')
  const all = await margay(['get', 'nodes', '-o', 'yaml'])
  assert.match(all.out, /^apiVersion: projectcalico.org\/v3\nitems:\n {2}- /)
  assert.match(all.out, /\nkind: NodeList\n/)
  const part = await margay(['get', 'node', 'h1', 'h9'])
  assert.equal([part.code, part.out, part.err], [3, 'NAME\nh1\n', 'margay: there is no node/h9\n'])
  assert.is(
    (await margay(['get', 'nodes', '-o', 'wide'])).out,
    'NAME   ASN       IPV4           IPV6\nh1     (64512)   192.0.2.1/24\nh2     (64512)   192.0.2.2/24\n',
  )
  assert.is((await margay(['apply', '-f', '-'], all.out)).code, 0, 'what get writes can be applied again')
})

test('a value that cannot be read is named, and the others are shown', async () => {
  const { margay, store } = shell()
  await margay(['apply', '-f', '-'], node('h1'))
  await store.commit([], [{ put: resourceKey('Node', 'h2'), value: '{' }], never)
  const done = await margay(['get', 'nodes'])
  assert.equal([done.code, done.out], [0, 'NAME\nh1\n'])
  assert.match(done.err, /^margay: node\/h2 cannot be read: .*not JSON/)
})

test('endpoints are namespaced, and their namespace is made with the first', async () => {
  const { margay } = shell()
  const done = await margay(['apply', '-f', '-'], endpoint('h1', 'web', '10.65.0.9/32'))
  assert.equal([done.code, done.out], [0, 'workloadendpoint/shop/h1-margay-web-eth0 created\n'])
  assert.match((await margay(['get', 'profiles'])).out, /kns\.shop/)
  assert.is((await margay(['get', 'wep'])).out, 'WORKLOAD   NODE   NETWORKS   INTERFACE\n')
  assert.match(
    (await margay(['get', 'wep', '-A'])).out,
    /^NAMESPACE {3}WORKLOAD .*\nshop {8}web {8}h1 {5}10.65.0.9\/32 {3}mgy0123456789a\n$/,
  )
})

/** A store with a pool, two nodes, a workload on h1 with its address, and blocks. */
async function aCluster() {
  const { margay, store } = shell()
  await margay(['apply', '-f', '-'], pool('p1', '10.65.0.0/24', '  blockSize: 26\n') + node('h1') + node('h2', '192.0.2.2/24'))
  const ipam = createIpam({ store: store.another(), node: 'h1', log: silentLogger })
  const request = {
    ip: parseIp('10.65.0.9'),
    handleId: 'margay.shop.web',
    attributes: { namespace: 'shop', workload: 'web' },
    use: 'Workload',
  } as const
  await ipam.assignIp(request, never)
  await margay(['apply', '-f', '-'], endpoint('h1', 'web', '10.65.0.9/32'))
  return { margay, store, ipam }
}

test('ipam show counts pools and blocks, and says who has an address', async () => {
  const { margay } = await aCluster()
  const shown = await margay(['ipam', 'show', '--show-blocks'])
  assert.is(
    shown.out,
    `+----------+--------------+-----------+------------+--------------+------------+
| GROUPING | CIDR         | IPS TOTAL | IPS IN USE | IPS RESERVED | IPS FREE   |
+----------+--------------+-----------+------------+--------------+------------+
| IP Pool  | 10.65.0.0/24 | 256       | 1 (0%)     | 0 (0%)       | 255 (100%) |
| Block    | 10.65.0.0/26 | 64        | 1 (2%)     | 0 (0%)       | 63 (98%)   |
+----------+--------------+-----------+------------+--------------+------------+
`,
  )
  const used = await margay(['ipam', 'show', '--ip', '10.65.0.9'])
  assert.match(used.out, /^IP 10.65.0.9 is in use\nHandle ID: margay.shop.web\nBlock: 10.65.0.0\/26 of h1\nAttributes:\n/)
  assert.is((await margay(['ipam', 'show', '--ip', '10.65.0.77'])).out, '10.65.0.77 is not assigned\n')
  assert.is(JSON.parse((await margay(['ipam', 'show', '-o', 'json'])).out).pools[0].used, 1)
  assert.is((await margay(['ipam', 'show', '--show-borrowed'])).out, 'no address is borrowed\n')
  assert.match((await margay(['ipam', 'show', '--show-configuration'])).out, /StrictAffinity {7}false/)
})

test('deleting a node removes its endpoints, addresses, blocks and records, and only its own', async () => {
  const { margay, store } = await aCluster()
  await margay(['apply', '-f', '-'], endpoint('h2', 'web', '10.65.0.10/32') + endpoint('h1-x', 'web', '10.65.0.11/32'))
  const felix =
    'apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata:\n  name: node.h1\nspec:\n  defaultEndpointToHostAction: Return\n'
  await margay(['apply', '-f', '-'], felix)
  const peers = '/calico/resources/v3/projectcalico.org/bgppeers/'
  for (const host of ['h1', 'h2'])
    await store.commit([], [{ put: `${peers}${host}`, value: JSON.stringify({ spec: { node: host } }) }], never)
  const lost = { ip: parseIp('10.65.0.20'), handleId: 'k8s-pod-network.5f1c', attributes: {} }
  await createIpam({ store, node: 'h1', log: silentLogger }).assignIp(lost, never)
  const done = await margay(['delete', 'node', 'h1'])
  const removed = '1 workload endpoints, 1 leaked addresses, 1 blocks, 2 records of the node'
  assert.equal(done, { code: 0, out: `node/h1 deleted (with ${removed})\n`, err: '' })
  assert.is((await margay(['get', 'nodes', '-o', 'name'])).out, 'node/h2\n')
  assert.is(
    (await margay(['get', 'wep', '-A', '-o', 'name'])).out,
    'workloadendpoint/shop/h1--x-margay-web-eth0\nworkloadendpoint/shop/h2-margay-web-eth0\n',
  )
  assert.is((await margay(['ipam', 'show', '--ip', '10.65.0.9'])).out, '10.65.0.9 is not assigned\n')
  assert.equal([await store.get(`${peers}h1`, never), (await store.get(`${peers}h2`, never)) !== undefined], [undefined, true])
})

test('a node whose daemon is alive is not deleted', async () => {
  const { margay, store } = await aCluster()
  await store.commit([], [{ put: liveKey('h1'), value: '{}' }], never)
  const done = await margay(['delete', 'node', 'h1'])
  assert.equal([done.code, done.err], [1, 'margay: node "h1" is alive: stop margayd there first, else it writes everything again\n'])
  assert.is((await margay(['ipam', 'show', '--ip', '10.65.0.9', '-o', 'json'])).out.includes('"used"'), true)
})

test('deleting a pool gives its blocks back and tells what is still held', async () => {
  const { margay } = await aCluster()
  const done = await margay(['delete', 'pool', 'p1'])
  assert.equal(done, {
    code: 0,
    out: 'ippool/p1 deleted (1 block still holds addresses, to which there is no route any more)\n',
    err: '',
  })
  assert.match((await margay(['ipam', 'show'])).out, /\| No pool {2}\| 10.65.0.0\/26 \| 64 /)
})

test('ipam configure changes the record that counts, and refuses what cannot work', async () => {
  const { margay, store } = shell()
  const done = await margay(['ipam', 'configure', '--strictaffinity', 'true', '--max-blocks-per-host', '4'])
  assert.equal(done, { code: 0, out: 'StrictAffinity is true\nMaxBlocksPerHost is 4\n', err: '' })
  const value = (await store.get('/calico/ipam/v2/config', never))?.value ?? ''
  assert.equal(JSON.parse(value), { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 4 })
  const refused = await margay(['ipam', 'configure', '--strictaffinity', 'false'])
  assert.equal([refused.code, refused.out], [1, ''])
  assert.match(refused.err, /--max-blocks-per-host needs --strictaffinity true/)
  assert.is((await margay(['ipam', 'configure'])).code, 2)
  assert.match((await margay(['ipam', 'configure', '--strictaffinity', 'yes'])).err, /Give true or false/)
})

test('an IPAMConfiguration is written, and patched, with one warning that it has no effect', async () => {
  const text = 'apiVersion: projectcalico.org/v3\nkind: IPAMConfiguration\nmetadata:\n  name: default\nspec:\n  strictAffinity: true\n'
  const { margay } = shell()
  const done = await margay(['apply', '-f', '-'], text)
  assert.equal([done.code, done.out], [0, 'ipamconfiguration/default created\n'])
  const why = 'IPAMConfiguration decides nothing with etcd, neither here nor in Calico: use "margay ipam configure"'
  assert.is(done.err, `margay: warning: standard input: IPAMConfiguration default: line 1, column 1: ${why}\n`)
  const patched = await margay(['patch', 'ipamconfig', 'default', '-p', '{"spec": {"strictAffinity": false}}'])
  assert.equal([patched.out, patched.err], ['ipamconfiguration/default patched\n', `margay: warning: ${why}\n`])
})

test('delete -f deletes what the documents name', async () => {
  const { margay } = shell()
  const text = node('h1') + node('h2', '192.0.2.2/24')
  await margay(['apply', '-f', '-'], text)
  assert.is((await margay(['delete', '-f', '-'], text)).out, 'node/h1 deleted\nnode/h2 deleted\n')
})

test('a store that does not answer is said once, and ends with 1', async () => {
  const { store } = shell()
  const cut = store.another()
  cut.disconnect()
  const done = await run(['delete', 'node', 'h1', 'h2'], { store: cut, env: etcd })
  assert.is(done.code, 1)
  assert.is(done.err.split('\n').length, 2, done.err)
})

test.run()
