import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { createIpam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { parseIp } from '../net/ip.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Program } from './context.ts'

const test = suite('cli/ipam')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

const MANIFESTS = `apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p1}
spec: {cidr: 10.65.0.0/24, blockSize: 26}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p6}
spec: {cidr: "2001:db8::/120", blockSize: 122}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1}
spec: {bgp: {ipv4Address: 192.0.2.1/24}}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: shop}
spec: {orchestrator: margay, workload: web, node: h1, endpoint: eth0, interfaceName: mgy0123456789a, ipNetworks: [10.65.0.9/32]}
`

/** A host with a workload that has 10.65.0.9, and addresses that nothing uses: 10.65.0.10 and 2001:db8::5. */
async function aCluster() {
  const store = new MemoryStore()
  const as =
    (program: Program) =>
    (args: string, stdin = '') =>
      run(args.split(' '), { store: store.another(), stdin, env, program })
  const margay = as('margay')
  const value = {
    kind: 'ClusterInformation',
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: 'default' },
    spec: { clusterGUID: 'ab12', datastoreReady: true },
  }
  await store.commit(
    [],
    [{ put: '/calico/resources/v3/projectcalico.org/clusterinformations/default', value: JSON.stringify(value) }],
    never,
  )
  const applied = await margay('apply -f -', MANIFESTS)
  assert.is(applied.code, 0, applied.err)
  const ipam = createIpam({ store: store.another(), node: 'h1', log: silentLogger })
  for (const [ip, workload] of [
    ['10.65.0.9', 'web'],
    ['10.65.0.10', 'gone'],
    ['2001:db8::5', 'gone'],
  ] as const) {
    const request = {
      ip: parseIp(ip),
      handleId: `margay.shop.${workload}`,
      attributes: { namespace: 'shop', workload },
      use: 'Workload',
    } as const
    await ipam.assignIp(request, never)
  }
  return { store, ipam, margay, calicoctl: as('calicoctl') }
}

test('check finds what nothing uses, says who has what, and writes a report', async () => {
  const { margay, calicoctl } = await aCluster()
  const file = join(folder, 'found.json')
  const done = await margay(`ipam check --show-all-ips -o ${file}`)
  assert.equal([done.code, done.err], [0, ''])
  assert.match(
    done.out,
    /^Checking IPAM for inconsistencies...\nChecked 2 blocks with 3 allocations, 2 pools, 1 nodes, 1 addresses in use, /,
  )
  assert.match(done.out, /\n10.65.0.9 +h1 +margay.shop.web +\S*shop\S*\n/)
  assert.match(done.out, /\n10.65.0.10 +h1 +margay.shop.gone +nothing\n/)
  assert.match(done.out, /\nleaked-address +2001:db8::5 +node h1 +handle "margay.shop.gone" holds it, no workload endpoint has it/)
  assert.match(done.out, /\nFound 2 IPs that are allocated in IPAM but not actually in use.\n/)
  assert.match(done.out, /\nCheck complete; found 2 problems.\n$/)
  const report = JSON.parse(readFileSync(file, 'utf8'))
  assert.equal([report.version, report.clusterGUID, report.allocations['10.65.0.10'][0].inUse], ['1.2.3', 'ab12', false])
  const brief = await calicoctl('ipam check')
  assert.not.match(brief.out, /leaked-address/)
  assert.match((await calicoctl('ipam check --show-problem-ips --kubeconfig /x')).out, /leaked-address/)
  assert.match((await margay('ipam check -o /nowhere/r.json')).err, /the report could not be written to "\/nowhere\/r.json"/)
})

test('release gives back what a report names as leaked and still is', async () => {
  const { margay, ipam } = await aCluster()
  const [first, second] = [join(folder, 'a.json'), join(folder, 'b.json')]
  await margay(`ipam check -o ${first}`)
  await margay('ipam release --ip 2001:db8::5')
  await ipam.assignIp(
    { ip: parseIp('2001:db8::5'), handleId: 'margay.shop.gone', attributes: { namespace: 'shop' }, use: 'Workload' },
    never,
  )
  const dry = await margay(`ipam release --from-report ${first} --dry-run`)
  assert.equal([dry.code, dry.out], [0, '10.65.0.10 released (dry run)\nReleased 1 IPs and 0 handles successfully (dry run)\n'])
  await margay(`ipam check -o ${second}`)
  const done = await margay(`ipam release --from-report ${first} --from-report ${second} --force`)
  assert.equal([done.code, done.out], [0, '10.65.0.10 released\nReleased 1 IPs and 0 handles successfully\n'])
  assert.match((await margay('ipam check')).out, /found 1 problems/)
  assert.is((await margay(`ipam release --from-report ${second}`)).out, '2001:db8::5 released\nReleased 1 IPs and 0 handles successfully\n')
  assert.match((await margay('ipam check')).out, /found 0 problems/)
  assert.is((await margay('ipam show --ip 10.65.0.9 -o json')).out.includes('"used"'), true)
})

test('calicoctl releases by a report while the datastore is locked, or is forced to', async () => {
  const { margay, calicoctl } = await aCluster()
  const file = join(folder, 'locked.json')
  await calicoctl(`ipam check -o ${file}`)
  const unlocked = 'data store is not locked. Either lock the data store, or re-run with --force\n'
  assert.equal(await calicoctl(`ipam release --from-report ${file}`), { code: 1, out: '', err: unlocked })
  await margay('datastore migrate lock')
  const released = 'Released 2 IPs successfully\nReleased 0 handles\nYou may now unlock the data store.\n'
  assert.equal(await calicoctl(`ipam release --from-report ${file}`), { code: 0, out: released, err: '' })
  await margay('datastore migrate unlock')
  const none = "Report didn't contain any leaked IPs to clean up.\nReleased 0 handles\nYou may now unlock the data store.\n"
  assert.equal(await calicoctl(`ipam release --from-report ${file} --force`), { code: 0, out: none, err: '' })
  assert.match((await calicoctl('ipam check')).out, /\nFound 0 handles with no matching IPs \(and 1 handles with matches\).\n/)
})

test('one address is released, but not one that a workload has', async () => {
  const { margay, calicoctl } = await aCluster()
  assert.equal(await margay('ipam release --ip 10.65.0.10'), { code: 0, out: 'Successfully released IP address 10.65.0.10\n', err: '' })
  assert.equal(await calicoctl('ipam release --ip=10.65.0.10'), {
    code: 1,
    out: '',
    err: 'IP address 10.65.0.10 is not assigned\n',
  })
  const used = await margay('ipam release --ip 10.65.0.9')
  assert.equal([used.code, used.err], [1, 'margay: workloadendpoint/shop/h1-margay-web-eth0 has 10.65.0.9: delete that, or give --force\n'])
  assert.is((await margay('ipam release --ip 10.65.0.9 --force')).code, 0)
})

const refused: readonly (readonly [args: string, code: number, err: RegExp])[] = [
  ['release', 2, /give either --ip or --from-report/],
  ['release --ip 10.65.0', 2, /--ip "10.65.0" is not an IP address/],
  ['release --from-report /nowhere', 1, /the report "\/nowhere" does not exist/],
  ['release --from-report package.json', 1, /"package.json": not a report of ipam check: /],
  ['split 3 --name p1', 2, /Give a power of two from 2 to 64/],
  ['split 2', 2, /give exactly one of --cidr and --name/],
  ['split 2 --name p1', 1, /the datastore is not locked: "margay datastore migrate lock" first/],
  ['configure --strictaffinity maybe', 2, /Give true or false/],
]
for (const [args, code, err] of refused) {
  test(`"margay ipam ${args}" ends with ${code}`, async () => {
    const done = await (await aCluster()).margay(`ipam ${args}`)
    assert.match(done.err, err)
    assert.equal([done.code, done.out], [code, ''])
  })
}

test('a report of another cluster is refused', async () => {
  const { margay } = await aCluster()
  const file = join(folder, 'other.json')
  writeFileSync(file, JSON.stringify({ version: 'v3.32.0', clusterGUID: 'ffff', clusterInformationRevision: '1', allocations: {} }))
  assert.match(
    (await margay(`ipam release --from-report ${file}`)).err,
    /the report is of another cluster: its clusterGUID is "ffff", that of this etcd "ab12"/,
  )
})

test('a pool is split in one step while the datastore is locked, and addresses stay', async () => {
  const { margay, calicoctl, store } = await aCluster()
  await margay('datastore migrate lock')
  assert.match(
    (await margay('ipam split 8 --name p1')).err,
    /10.65.0.0\/24 can't be split into 8: each part must hold at least one block \(\/26\)/,
  )
  assert.match(
    (await margay('ipam split 2 --cidr 10.66.0.0/24')).err,
    /there is no pool 10.66.0.0\/24; pools are: p1 \(10.65.0.0\/24\), p6/,
  )
  const revision = store.revision
  assert.is((await margay('ipam split 2 --name p6 --dry-run')).code, 0)
  assert.is(store.revision, revision)
  const done = await calicoctl('ipam split 4 --cidr=10.65.0.0/24')
  const created = [0, 64, 128, 192].map((last, i) => `Created split-p1-${i} with CIDR 10.65.0.${last}/26.\n`)
  assert.equal(done, { code: 0, out: `IP pool p1 was successfully split into 4 smaller pools.\n${created.join('')}`, err: '' })
  assert.is(store.revision, revision + 1)
  await margay('datastore migrate unlock')
  assert.match((await margay('ipam check')).out, /found 2 problems/)
  assert.is((await margay('get pools -o name')).out.split('\n').length, 6)
})

test('calicoctl says what it has set', async () => {
  const { calicoctl } = await aCluster()
  assert.is((await calicoctl('ipam configure --strictaffinity=true')).out, 'Successfully set StrictAffinity to: true\n')
})

test.run()
