import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'
import { MemoryStore } from '../store/memory.ts'
import type { Program } from './context.ts'

const test = suite('cli/get')

const MANIFESTS = `apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p1, labels: {size: big}}
spec: {cidr: 10.65.0.0/16, natOutgoing: true}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p2}
spec: {cidr: 10.66.0.0/24, nodeSelector: rack == 'r1'}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h1, labels: {rack: r1}}
spec: {bgp: {asNumber: 64513, ipv4Address: 192.0.2.1/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h2}
spec: {bgp: {ipv4Address: 192.0.2.2/24, ipv6Address: "2001:db8::2/64"}}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: last}
spec: {order: 2000000}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: zero}
spec: {order: 5.5}
---
apiVersion: projectcalico.org/v3
kind: BGPConfiguration
metadata: {name: default}
spec: {asNumber: 64600, nodeToNodeMeshEnabled: false}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: global}
spec: {peerIP: 192.0.2.9, asNumber: 64513}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: of-node}
spec: {peerIP: 192.0.2.9, asNumber: 64513, node: h1}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: of-some}
spec: {peerIP: "2001:db8::9", asNumber: 64513, nodeSelector: has(rack)}
---
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: f1}
spec: {exportV4: [{action: Accept, matchOperator: In, cidr: 10.0.0.0/8}, {action: Reject}], importV6: [{action: Reject}]}
---
apiVersion: projectcalico.org/v3
kind: IPReservation
metadata: {name: r1}
spec: {reservedCIDRs: [10.65.0.0/30, "2001:db8::/126"]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h1-eth0, labels: {role: edge}}
spec: {node: h1, interfaceName: eth0, expectedIPs: [192.0.2.1, "2001:db8::1"], profiles: [a, b]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: gnp1}
spec: {order: 10, selector: role == 'edge'}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: np1, namespace: shop}
spec: {selector: all()}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: np2}
spec: {selector: app == 'db', order: 2.5}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: set1}
spec: {nets: [198.51.100.0/24, 203.0.113.0/28, 203.0.113.16/28, 203.0.113.32/28, 203.0.113.48/28, 203.0.113.64/28]}
---
apiVersion: projectcalico.org/v3
kind: CalicoNodeStatus
metadata: {name: status1}
spec: {node: h1, classes: [Agent, BGP], updatePeriodSeconds: 10}
`

const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }
const store = new MemoryStore()
test.before(async () => {
  const done = await run(['apply', '-f', '-'], { store: store.another(), stdin: MANIFESTS, env })
  assert.equal([done.code, done.err.replace(/.*(warning|note): .*\n/g, '')], [0, ''])
})

async function get(args: string, program: Program = 'margay', stdin = '') {
  const words = args.match(/'[^']*'|\S+/g) ?? []
  return run(['get', ...words.map((word) => word.replace(/'/g, (_, at) => (at === 0 || at === word.length - 1 ? '' : "'")))], {
    store: store.another(),
    env,
    program,
    stdin,
  })
}

/** Tables as rows of cells: the blanks between them are looked at once, below. */
function cellsOf(text: string): readonly (readonly string[])[] {
  return text.split('\n').map((line) => line.trim().split(/ {3,}/))
}

const tables: readonly (readonly [args: string, want: readonly string[]])[] = [
  ['ippools', ['NAME   CIDR   SELECTOR', 'p1   10.65.0.0/16   all()', "p2   10.66.0.0/24   rack == 'r1'"]],
  [
    'pool p1 -o wide',
    [
      'NAME   CIDR   NAT   IPIPMODE   VXLANMODE   DISABLED   DISABLEBGPEXPORT   SELECTOR   ASSIGNMENTMODE',
      'p1   10.65.0.0/16   true   Never   Never   false   false   all()   Automatic',
    ],
  ],
  ['no -o wide', ['NAME   ASN   IPV4   IPV6', 'h1   64513   192.0.2.1/24', 'h2   (64600)   192.0.2.2/24   2001:db8::2/64']],
  ['tiers', ['NAME   ORDER', 'zero   5.5', 'last   2e+06']],
  ['bgpconfig', ['NAME   LOGSEVERITY   MESHENABLED   ASNUMBER', 'default   Info   false   64600']],
  [
    'bgppeers',
    [
      'NAME   PEERIP   NODE   ASN',
      'global   192.0.2.9   (global)   64513',
      'of-node   192.0.2.9   h1   64513',
      'of-some   2001:db8::9   has(rack)   64513',
    ],
  ],
  ['bgpf', ['NAME   NUMEXPORTV4   NUMIMPORTV4   NUMEXPORTV6   NUMIMPORTV6', 'f1   2   0   0   1']],
  ['reservations', ['NAME', 'r1']],
  ['ipreservation -o wide', ['NAME   CIDRS', 'r1   10.65.0.0/30,2001:db8::/126']],
  ['hep', ['NAME   NODE', 'h1-eth0   h1']],
  ['heps -o wide', ['NAME   NODE   INTERFACE   IPS   PROFILES', 'h1-eth0   h1   eth0   192.0.2.1,2001:db8::1   a,b']],
  ['gnp', ['NAME   TIER', 'gnp1   default']],
  ['gnps -o wide', ['NAME   TIER   ORDER   SELECTOR', "gnp1   default   10   role == 'edge'"]],
  ['policy', ['NAME   TIER', 'np2   default']],
  ['np -n shop', ['NAMESPACE   NAME   TIER', 'shop   np1   default']],
  [
    'np -A -o wide',
    ['NAMESPACE   NAME   TIER   ORDER   SELECTOR', "default   np2   default   2.5   app == 'db'", 'shop   np1   default   <nil>   all()'],
  ],
  ['globalnetworkset -o wide', ['NAME   NETS', 'set1   198.51.100.0/24,203.0.113.0/28,203.0.113.16/28,203.0.113.32/28,203.0.113.48/2...']],
  ['nodestatus -o wide', ['NAME   NODE   CLASSES', 'status1   h1   Agent,BGP']],
  ['pools -o custom-columns=NAME,NAT', ['NAME   NAT', 'p1   true', 'p2   false']],
  ['pools -o custom-columns=NAME,SIZE:.spec.blockSize,L:.metadata.labels.size', ['NAME   SIZE   L', 'p1   26   big', 'p2   26   <none>']],
]
for (const [args, want] of tables) {
  test(`calicoctl get ${args}`, async () => {
    const done = await get(args, 'calicoctl')
    assert.equal([done.code, done.err], [0, ''])
    assert.equal(cellsOf(done.out), [...want.map((line) => line.split('   ')), [''], ['']])
  })
}

test("calicoctl's table has blanks after each cell and an empty line after it, margay's neither", async () => {
  assert.is(
    (await get('pools', 'calicoctl')).out,
    "NAME   CIDR           SELECTOR       \np1     10.65.0.0/16   all()          \np2     10.66.0.0/24   rack == 'r1'   \n\n",
  )
  assert.is((await get('pools')).out, "NAME   CIDR           SELECTOR\np1     10.65.0.0/16   all()\np2     10.66.0.0/24   rack == 'r1'\n")
  assert.is((await get('tiers')).out, 'NAME   ORDER\nzero   5.5\nlast   2000000\n')
})

test('several kinds are a table each, and a list each in JSON', async () => {
  const shown = await get('nodes,pools')
  assert.is(shown.out, "NAME\nh1\nh2\n\nNAME   CIDR           SELECTOR\np1     10.65.0.0/16   all()\np2     10.66.0.0/24   rack == 'r1'\n")
  const json = JSON.parse((await get('nodes,np -A -o json')).out)
  assert.equal(
    json.map((list: { kind: string; items: readonly unknown[] }) => [list.kind, list.items.length]),
    [
      ['NodeList', 2],
      ['NetworkPolicyList', 2],
    ],
  )
})

test('named ones are themselves: one as an object, several as a list, and KIND/NAME', async () => {
  assert.is(JSON.parse((await get('pool p1 -o json')).out).kind, 'IPPool')
  const two = JSON.parse((await get('pools p2 p1 -o json')).out)
  assert.equal(
    two.map((each: { metadata: { name: string } }) => each.metadata.name),
    ['p2', 'p1'],
  )
  assert.is((await get('node/h1 pool/p2 -o name')).out, 'node/h1\nippool/p2\n')
  const again = await run(['apply', '-f', '-'], { store: store.another(), env, stdin: (await get('pools p2 p1 -o yaml')).out })
  assert.equal([again.code, again.out], [0, 'ippool/p2 unchanged\nippool/p1 unchanged\n'])
})

test('texts that YAML 1.1 takes for something else are quoted', async () => {
  const stdin = 'apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: odd, labels: {a: "yes", b: "012"}}\nspec: {order: 7}\n'
  const other = new MemoryStore()
  await run(['apply', '-f', '-'], { store: other.another(), env, stdin })
  const shown = (await run(['get', 'tier', 'odd', '-o', 'yaml'], { store: other.another(), env })).out
  assert.match(shown, /creationTimestamp: "20.*Z"\n {2}labels:\n {4}a: "yes"\n {4}b: "012"\n/)
})

test('a short flag takes its value also behind an equals sign', async () => {
  assert.is((await get('pool p2 -o=name')).out, 'ippool/p2\n')
  assert.is((await get('np -n=shop -o=name', 'calicoctl')).out, 'networkpolicy/shop/np1\n')
})

test('a selector takes resources by their labels', async () => {
  assert.is((await get('nodes -l \'rack == "r1"\' -o name')).out, 'node/h1\n')
  assert.is((await get('pools --selector !has(size) -o name')).out, 'ippool/p2\n')
  const wrong = await get('pools --selector rack=')
  assert.equal([wrong.code, wrong.out], [2, ''])
  assert.match(wrong.err, /--selector "rack=" is not a selector/)
})

test('--export leaves out what belongs to this cluster', async () => {
  const one = JSON.parse((await get('np np1 -n shop --export -o json')).out)
  assert.equal(
    Object.keys(one.metadata).filter((key) => key !== 'labels'),
    ['name'],
  )
  const [item] = JSON.parse((await get('np -n shop --export -o json')).out).items
  assert.equal(
    Object.keys(item.metadata).filter((key) => ['uid', 'resourceVersion', 'creationTimestamp'].includes(key)),
    [],
  )
  assert.is(item.metadata.namespace, 'shop')
})

test('templates get what was found, from the command line or a file', async () => {
  const template = '{{range .}}{{range .Items}}{{.ObjectMeta.Name}}:{{.Spec.CIDR}} {{end}}{{end}}'
  assert.is(
    (await run(['get', 'pools', '-o', `go-template=${template}`], { store: store.another(), env })).out,
    'p1:10.65.0.0/16 p2:10.66.0.0/24 ',
  )
  const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
  const file = join(folder, 'names')
  writeFileSync(file, '{{range .}}{{.metadata.name}}={{config "asnumber"}}{{end}}')
  assert.is((await get(`node h2 -o go-template-file=${file}`)).out, 'h2=64600')
  rmSync(folder, { recursive: true })
})

test('-f shows those that documents name', async () => {
  const named = 'apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p2}\nspec: {cidr: 10.66.0.0/24}\n'
  assert.is((await get('-f - -o name', 'margay', named)).out, 'ippool/p2\n')
  assert.equal(await get('-f - --skip-empty', 'margay', ''), { code: 0, out: 'No resources specified\n', err: '' })
})

const wrong: readonly (readonly [args: string, code: number, err: RegExp])[] = [
  ['', 2, /missing required argument 'kind'/],
  ['nodes -f x', 2, /give either a kind, or -f/],
  ['nodes,pools h1', 2, /give names of one kind only/],
  ['nodes,ippoools', 2, /"ippoools" is not a kind: did you mean "ippools"\?/],
  ['node/h1 pools', 2, /"pools" is not KIND\/NAME/],
  ['nodes -o xml', 2, /-o "xml" is not a format, give ps, wide, yaml/],
  ['nodes -o go-template=', 2, /-o go-template needs what to show, as in -o go-template='\{\{range/],
  ['nodes -o go-template-file=/nowhere', 1, /the template "\/nowhere" does not exist/],
  ['nodes -o custom-columns=NAMES', 2, /Node has no column "NAMES", did you mean "NAME"\?; it has NAME, ASN, IPV4, IPV6/],
  ['pool p1 p9 -o name', 3, /there is no ippool\/p9/],
]
for (const [args, code, err] of wrong) {
  test(`"margay get ${args}" ends with ${code} and says why`, async () => {
    const done = await get(args)
    assert.match(done.err, err)
    assert.is(done.code, code)
  })
}

test('as calicoctl what is wrong ends with 1', async () => {
  assert.is((await get('ippoools', 'calicoctl')).code, 1)
  assert.is((await get('pool p1 p9', 'calicoctl')).code, 1)
})

test.run()
