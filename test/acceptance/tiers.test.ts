// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LabWorkload } from '../../scripts/lab/workload.ts'
import { apply, globalPolicy, under } from '../support/policed.ts'
import { inBatches, shareLab, withLab } from '../support/scenario.ts'
import { openFlows } from '../support/traffic.ts'

const test = suite('acceptance/tiers')
const inLab = shareLab(test, { hosts: [0, 0], etcd: 'plain', mode: 'vxlan' })

const open80 = [{ action: 'Allow', protocol: 'TCP', destination: { ports: [80] } }]
const shut80 = [{ action: 'Deny', protocol: 'TCP', destination: { ports: [80] } }]
const pass80 = [{ action: 'Pass', protocol: 'TCP', destination: { ports: [80] } }]

/** Tiers and policies of one of the cases that are looked at at once, each with a server of its own: their names keep their order. */
function builders(slot: number) {
  const tier = (name: string, spec: object = {}): object => ({ kind: 'Tier', metadata: { name: `${name}-${slot}` }, spec })
  const inTier = (name: string, of: string, ingress: readonly object[], over: object = {}) => {
    const tierName = of === 'default' ? of : `${of}-${slot}`
    const spec = { tier: tierName, selector: `role == "server-${slot}"`, types: ['Ingress'], ingress, ...over }
    return globalPolicy(of === 'default' ? `${name}-${slot}` : `${tierName}.${name}`, spec)
  }
  return { tier, inTier }
}

interface OrderCase {
  readonly name: string
  readonly resources: (build: ReturnType<typeof builders>) => readonly object[]
  readonly isOpen: boolean
}

const orderCases: readonly OrderCase[] = [
  {
    name: 'tiers by their order, against their names',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 2 }),
      tier('bb', { order: 1 }),
      inTier('p', 'aa', shut80),
      inTier('p', 'bb', open80),
    ],
    isOpen: true,
  },
  {
    name: 'tiers by their order, with their names',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 1 }),
      tier('bb', { order: 2 }),
      inTier('p', 'aa', shut80),
      inTier('p', 'bb', open80),
    ],
    isOpen: false,
  },
  {
    name: 'tiers of one order by name',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 5 }),
      tier('bb', { order: 5 }),
      inTier('p', 'bb', shut80),
      inTier('p', 'aa', open80),
    ],
    isOpen: true,
  },
  {
    name: 'tiers without order by name',
    resources: ({ tier, inTier }) => [tier('aa'), tier('bb'), inTier('p', 'bb', open80), inTier('p', 'aa', shut80)],
    isOpen: false,
  },
  {
    name: 'a tier without order comes behind those with one, the default tier too',
    resources: ({ tier, inTier }) => [tier('aa'), inTier('p', 'aa', open80), inTier('p', 'default', shut80)],
    isOpen: false,
  },
  {
    name: 'a tier before the default one',
    resources: ({ tier, inTier }) => [tier('aa', { order: 1 }), inTier('p', 'aa', open80), inTier('p', 'default', shut80)],
    isOpen: true,
  },
  {
    name: 'pass leads to the next tier',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 1 }),
      inTier('a', 'aa', pass80),
      inTier('b', 'aa', shut80),
      inTier('p', 'default', open80),
    ],
    isOpen: true,
  },
  { name: 'pass behind the last tier leads to the profiles', resources: ({ inTier }) => [inTier('p', 'default', pass80)], isOpen: true },
  {
    name: 'a tier ends with deny',
    resources: ({ tier, inTier }) => [tier('aa', { order: 1 }), inTier('a', 'aa', []), inTier('p', 'default', open80)],
    isOpen: false,
  },
  {
    name: 'a tier may end with pass',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 1, defaultAction: 'Pass' }),
      inTier('a', 'aa', []),
      inTier('p', 'default', open80),
    ],
    isOpen: true,
  },
  {
    name: 'a tier that selects nobody is not asked',
    resources: ({ tier, inTier }) => [
      tier('aa', { order: 1 }),
      inTier('a', 'aa', [], { selector: 'role == "nobody"' }),
      inTier('p', 'default', open80),
    ],
    isOpen: true,
  },
  {
    name: 'policies by their order, against their names',
    resources: ({ inTier }) => [inTier('a', 'default', shut80, { order: 2 }), inTier('b', 'default', open80, { order: 1 })],
    isOpen: true,
  },
  {
    name: 'policies by their order, with their names',
    resources: ({ inTier }) => [inTier('a', 'default', shut80, { order: 1 }), inTier('b', 'default', open80, { order: 2 })],
    isOpen: false,
  },
  {
    name: 'policies without order by name',
    resources: ({ inTier }) => [inTier('a', 'default', open80), inTier('b', 'default', shut80)],
    isOpen: true,
  },
  {
    name: 'policies of one order by name',
    resources: ({ inTier }) => [inTier('b', 'default', open80, { order: 3 }), inTier('a', 'default', shut80, { order: 3 })],
    isOpen: false,
  },
  {
    name: 'a policy without order comes behind those with one',
    resources: ({ inTier }) => [inTier('a', 'default', open80), inTier('b', 'default', shut80, { order: 1000 })],
    isOpen: false,
  },
]

const SERVERS = 8

test('POL-3 tiers and policies: by order, without one by name', async () => {
  await inLab(async (lab) => {
    const client = await lab.addWorkload('h1', 'client')
    const roles = Array.from({ length: SERVERS }, (_, i) => `server-${i}`)
    const servers = await Promise.all(roles.map((role) => lab.addWorkload('h1', role, ['--label', `role=${role}`])))
    const look = () => Promise.all(servers.map(({ addresses }) => openFlows(client.namespace, addresses, ['tcp 80'])))
    for (const batch of inBatches(orderCases, SERVERS)) {
      const resources = batch.flatMap((one, slot) => one.resources(builders(slot)))
      const open = await under(lab.daemon('h1'), resources, look)
      assert.equal(
        batch.map(({ name }, slot) => [name, open[slot]]),
        batch.map(({ name, isOpen }) => [name, isOpen ? ['tcp 80'] : []]),
      )
    }
  })
})

/** Each selector, and whether a workload with the labels is selected, and one without. */
const selectors: readonly (readonly [selector: string, labelled: boolean, plain: boolean])[] = [
  ['all()', true, true],
  ['!all()', false, false],
  ['has(colour)', true, false],
  ['!has(colour)', false, true],
  ['has(other)', false, false],
  ['colour == "red"', true, false],
  ["colour == 'red'", true, false],
  ['colour == "blue"', false, false],
  ['colour != "red"', false, true],
  ['colour != "blue"', true, true],
  ['colour in {"red", "blue"}', true, false],
  ['colour in {"green", "blue"}', false, false],
  ['colour not in {"red"}', false, true],
  ['colour not in {"green", "blue"}', true, true],
  ['colour contains "e"', true, false],
  ['colour contains "x"', false, false],
  ['colour starts with "re"', true, false],
  ['colour starts with "ed"', false, false],
  ['colour ends with "ed"', true, false],
  ['colour ends with "re"', false, false],
  ['!colour starts with "re"', false, true],
  ['colour == "red" && size == "10"', true, false],
  ['colour == "red" && size == "11"', false, false],
  ['colour == "blue" || size == "10"', true, false],
  ['!(colour == "red" && size == "10")', false, true],
  ['colour == "red" && (size == "11" || has(example.org/stage))', true, false],
  ['example.org/stage == "prod-1.2"', true, false],
  ['colour == "Red"', false, false],
  ['size == "1"', false, false],
]
const SELECTOR_PORT = 2000
const LABELS = ['colour=red', 'size=10', 'example.org/stage=prod-1.2'].flatMap((label) => ['--label', label])

test('POL-3 selectors of rules: whom each takes as a peer', async () => {
  await inLab(async (lab) => {
    const server = await lab.addWorkload('h2', 'server', ['--label', 'role=server'])
    const clients = [await lab.addWorkload('h1', 'labelled', LABELS), await lab.addWorkload('h1', 'plain')]
    const ingress = selectors.map(([selector], i) => ({
      ...{ action: 'Allow', protocol: 'TCP', source: { selector } },
      destination: { ports: [SELECTOR_PORT + i] },
    }))
    await apply(lab.daemon('h1'), globalPolicy('p', { selector: 'role == "server"', types: ['Ingress'], ingress }))
    const found = await Promise.all(clients.map(({ namespace }) => selected(namespace, server.addresses)))
    assert.equal(table(found), selectors)
  })
})

test('POL-3 selectors of policies: which endpoints each is for', async () => {
  // In a lab of its own: these policies are for all endpoints that there are.
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const client = await lab.addWorkload('h1', 'client', ['--label', 'colour=none'])
    const servers = [await lab.addWorkload('h2', 'labelled', LABELS), await lab.addWorkload('h2', 'plain')]
    const policies = selectors.map(([selector], i) =>
      globalPolicy(`p${i}`, {
        ...{ selector, types: ['Ingress'] },
        ingress: [{ action: 'Allow', protocol: 'TCP', destination: { ports: [SELECTOR_PORT + i] } }],
      }),
    )
    await apply(lab.daemon('h1'), ...policies)
    const found = await Promise.all(servers.map(({ addresses }) => selected(client.namespace, addresses)))
    assert.equal(table(found), selectors)
  })
})

async function selected(from: LabWorkload['namespace'], to: readonly string[]): Promise<readonly boolean[]> {
  const flows = selectors.map((_, i) => `tcp ${SELECTOR_PORT + i}`)
  const open = await openFlows(from, to, flows)
  return flows.map((flow) => open.includes(flow))
}

function table(found: readonly (readonly boolean[])[]) {
  return selectors.map(([selector], i) => [selector, found[0]?.[i], found[1]?.[i]])
}

test.run()
