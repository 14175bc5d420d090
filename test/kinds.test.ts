import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeResource, encodeResource } from '../src/model/codec.ts'
import { parseDocuments } from '../src/model/document.ts'
import { fieldRows } from '../src/model/field-rows.ts'
import { resourceKey } from '../src/model/keys.ts'
import { type AnyResource, kindInfo, RESOURCE_KINDS, type ResourceKind } from '../src/model/kinds.ts'
import { jsonSchemaOf, schemaFile } from '../src/model/reference/json-schema.ts'
import { pageFile } from '../src/model/reference/page.ts'
import { MemoryStore } from '../src/store/memory.ts'
import { createResource, getResource } from '../src/store/resource-store.ts'
import { run } from './support/cli.ts'
import { checkJson } from './support/json-schema.ts'

/*
 * The row of each kind in docs/resources.md: its schema, its tags, its checks, its way through the store and its page. What the
 * table says of a kind is proven here, with the example of the kind's page.
 */
const test = suite('test/kinds')

const never = new AbortController().signal
const env = { MARGAY_ETCD_ENDPOINTS: 'http://192.0.2.1:2379' }

/** A command line with a store of its own. */
function shell() {
  const store = new MemoryStore()
  return { store, margay: (argv: readonly string[], stdin = '') => run(argv, { store: store.another(), stdin, env }) }
}

/** The example of a kind's page. */
function exampleOf(kind: ResourceKind): string {
  const page = readFileSync(`docs/resources/${pageFile(kind)}`, 'utf8')
  const blocks = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  const examples = blocks.filter((block) => block.includes(`\nkind: ${kind}\n`))
  assert.is(examples.length, 1, `docs/resources/${pageFile(kind)} has ${examples.length} examples`)
  return examples[0] ?? ''
}

/** The resource of the example. */
function resourceOf(kind: ResourceKind): AnyResource {
  const [document, ...others] = parseDocuments(exampleOf(kind))
  assert.equal([document?.issues, others.length], [[], 0])
  if (document?.resource === undefined) throw new Error(`${kind} has no example`)
  return document.resource
}

const GLOBAL = 'metadata: {name: default}\n'
const NAMED = 'metadata: {name: x, namespace: default}\n'
const ENDPOINT = 'node: h1, orchestrator: margay, workload: w, endpoint: eth0'

/** A document of each kind with a fault between its fields, and what is said of it. */
const WRONG: Readonly<Record<ResourceKind, readonly [string, string]>> = {
  Node: [`${GLOBAL}spec: {bgp: {}}`, 'spec.bgp (line 4, column 8): is empty: leave it out, or give an address'],
  IPPool: [
    `${GLOBAL}spec: {cidr: 10.0.0.0/8, vxlanMode: Always, ipipMode: Always}`,
    'spec.ipipMode (line 4, column 45): "Always" beside vxlanMode "Always": one of them must be "Never"',
  ],
  IPReservation: [
    `${GLOBAL}spec: {reservedCIDRs: [10.0.0.1/33]}`,
    'spec.reservedCIDRs[0] (line 4, column 24): the prefix length of "10.0.0.1/33" is over 32',
  ],
  IPAMConfiguration: ['metadata: {name: x}\n', 'metadata.name (line 3, column 12): "x": the only one of this kind is "default"'],
  WorkloadEndpoint: [
    `spec: {${ENDPOINT}, interfaceName: mgy0, ipNetworks: [10.0.0.0/31]}`,
    'spec.ipNetworks[0] (line 3, column 103): 10.0.0.0/31 is more than one address: write 10.0.0.0/32',
  ],
  Tier: [`${GLOBAL}spec: {order: 5}`, 'spec.order (line 4, column 8): the tier default is built in: its order is 1000000, not 5'],
  Profile: [
    `${GLOBAL}spec: {ingress: [{action: Allow, destination: {ports: [80]}}]}`,
    'spec.ingress[0].destination.ports (line 4, column 48): need protocol TCP, UDP or SCTP; only names of ports can go without',
  ],
  GlobalNetworkPolicy: [`${GLOBAL}spec: {doNotTrack: true}`, 'spec.applyOnForward (line 4, column 1): must be true with doNotTrack'],
  NetworkPolicy: [`${NAMED}spec: {types: [Ingress, Ingress]}`, 'spec.types (line 4, column 8): Ingress stands there more than once'],
  StagedGlobalNetworkPolicy: [
    `${GLOBAL}spec: {stagedAction: Delete, order: 1}`,
    'spec.order (line 4, column 30): must be left out with stagedAction Delete',
  ],
  StagedNetworkPolicy: [
    `${NAMED}spec: {stagedAction: Delete, order: 1}`,
    'spec.order (line 4, column 30): must be left out with stagedAction Delete',
  ],
  StagedKubernetesNetworkPolicy: [
    `${NAMED}spec: {stagedAction: Delete, podSelector: {matchLabels: {a: b}}}`,
    'spec.podSelector (line 4, column 30): must be left out with stagedAction Delete',
  ],
  GlobalNetworkSet: [
    'metadata: {name: x, labels: {projectcalico.org/namespace: y}}\n',
    'metadata.labels.projectcalico.org/namespace (line 3, column 30): is set by margay: leave it out',
  ],
  NetworkSet: [
    'metadata: {name: x, labels: {projectcalico.org/namespace: y}}\n',
    'metadata.labels.projectcalico.org/namespace (line 3, column 30): is set by margay: leave it out',
  ],
  HostEndpoint: [
    `${GLOBAL}spec: {node: h1}`,
    'spec (line 4, column 1): needs interfaceName (the interface, or "*" for all) or expectedIPs (its addresses)',
  ],
  BGPConfiguration: [
    'metadata: {name: node.h1}\nspec: {asNumber: 64512}',
    'spec.asNumber (line 4, column 8): is for the configuration "default" only',
  ],
  BGPPeer: [`${GLOBAL}spec: {peerIP: 192.0.2.1}`, 'spec.asNumber (line 4, column 1): is required with peerIP'],
  BGPFilter: [
    `${GLOBAL}spec: {exportV4: [{action: Accept, cidr: 10.0.0.0/8}]}`,
    'spec.exportV4[0].matchOperator (line 4, column 19): is required with cidr',
  ],
  CalicoNodeStatus: [
    `${GLOBAL}spec: {node: h1, classes: [], updatePeriodSeconds: 1}`,
    'spec.classes (line 4, column 18): is empty: give one or more of Agent, BGP, Routes',
  ],
  ClusterInformation: ['metadata: {name: x}\n', 'metadata.name (line 3, column 12): "x": the only one of this kind is "default"'],
  FelixConfiguration: [
    `${GLOBAL}spec: {nodeSelector: all()}`,
    'spec.nodeSelector (line 4, column 8): can\'t be in "default", whose name already says for which hosts it is',
  ],
  KubeControllersConfiguration: [
    `${GLOBAL}spec: {controllers: {node: {hostEndpoint: {templates: [{generateName: a}]}}}}`,
    'spec.controllers.node.hostEndpoint.templates[0] (line 4, column 56): needs interfaceCIDRs or interfacePattern: which addresses or interfaces it is for',
  ],
  Service: [`${NAMED}spec: {ports: [{port: 0}]}`, 'spec.ports[0].port (line 4, column 17): must be an integer from 1 to 65535, not 0'],
}

for (const kind of RESOURCE_KINDS) {
  const { apiVersion, isNamespaced, specSchema } = kindInfo(kind)

  test(`${kind} has a schema that takes its example`, () => {
    const document: unknown = JSON.parse(JSON.stringify(resourceOf(kind)))
    assert.equal(checkJson(jsonSchemaOf(kind), document), [])
    assert.ok(checkJson(jsonSchemaOf(kind), { ...(document as object), speck: {} }).includes('/speck: unknown'))
    assert.equal(JSON.parse(readFileSync(`schemas/${schemaFile(kind)}`, 'utf8')), jsonSchemaOf(kind))
  })

  test(`${kind} has a tag on every field`, () => {
    assert.equal(
      fieldRows(specSchema, 'spec').filter(({ tag }) => tag === undefined),
      [],
    )
  })

  test(`${kind} is checked beyond its shape, with field, place, value and rule`, async () => {
    const [body, want] = WRONG[kind]
    const { code, err } = await shell().margay(['validate', '-f', '-'], `apiVersion: ${apiVersion}\nkind: ${kind}\n${body}\n`)
    assert.is(code, 1)
    assert.ok(err.endsWith(`: ${want}\n`), err)
  })

  test(`${kind} goes into the store, is shown, patched, applied again and deleted`, async () => {
    const { store, margay } = shell()
    const { metadata } = resourceOf(kind)
    const scope = isNamespaced ? ['-n', metadata.namespace ?? ''] : []
    const ref = { kind, name: metadata.name, namespace: metadata.namespace }
    if (kind === 'ClusterInformation') await createResource(store.another(), resourceOf(kind), never)
    else assert.equal(await margayOk(margay(['apply', '-f', '-'], exampleOf(kind))), 'created')
    const stored = await store.get(resourceKey(kind, metadata.name, metadata.namespace), never)
    const read = decodeResource(kind, stored?.value ?? '', 1) as AnyResource
    assert.is(encodeResource(read), stored?.value, 'what is stored is written as it was read')
    const shown = await margay(['get', kind, metadata.name, ...scope, '-o', 'yaml'])
    assert.is(shown.code, 0, shown.err)
    assert.equal(await margayOk(margay(['apply', '-f', '-'], shown.out)), 'unchanged')
    const patched = await margay(['patch', kind, metadata.name, ...scope, '-p', '{"metadata":{"labels":{"team":"net"}}}'])
    assert.is(patched.code, 0, patched.err)
    const after = await getResource(store.another(), ref, never)
    assert.is(after?.metadata.labels?.['team'], 'net')
    assert.equal(after?.spec, read.spec)
    assert.is((await margay(['get', kind, metadata.name, ...scope])).code, 0)
    const deleted = await margay(['delete', kind, metadata.name, ...scope])
    // The first host of a cluster makes it, and it goes with the cluster.
    const isKept = kind === 'ClusterInformation'
    assert.is(deleted.code, isKept ? 1 : 0, deleted.err)
    assert.is((await getResource(store.another(), ref, never)) !== undefined, isKept)
  })
}

/** The last word of what a command that must succeed printed. */
async function margayOk(running: ReturnType<typeof run>): Promise<string | undefined> {
  const { code, out, err } = await running
  assert.is(code, 0, err)
  return out.trim().split(' ').at(-1)
}

test.run()
