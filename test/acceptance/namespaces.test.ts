// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Lab } from '../../scripts/lab/lab.ts'
import type { LabWorkload } from '../../scripts/lab/workload.ts'
import { globalPolicy, policy, under } from '../support/policed.ts'
import { withLab } from '../support/scenario.ts'
import { echoUdp, openFlows } from '../support/traffic.ts'

const test = suite('acceptance/namespaces')

const ALLOW = [{ action: 'Allow' }]
const DENY = [{ action: 'Deny' }]
const NAMESPACE_FLOWS = ['tcp 80', 'udp 5000', 'icmp']
const NAMESPACES = ['default', 'red', 'blue']
const EVERY_WAY = NAMESPACES.flatMap((from) => ['default', 'red'].map((to) => `${from} > ${to}`))
const blue = { namespaceSelector: 'name == "blue"' }
const def = { namespaceSelector: 'name == "default"' }

const namespaceCases: readonly { name: string; resources: readonly object[]; open: readonly string[] }[] = [
  { name: 'no policy', resources: [], open: EVERY_WAY },
  {
    name: 'a global policy allows everybody',
    resources: [globalPolicy('g', { types: ['Ingress', 'Egress'], ingress: ALLOW, egress: ALLOW })],
    open: EVERY_WAY,
  },
  { name: 'a global policy denies everybody', resources: [globalPolicy('g', { types: ['Ingress'], ingress: DENY })], open: [] },
  {
    name: 'one namespace is denied',
    resources: [policy('red/p', { ingress: [{ action: 'Deny', source: blue }, ...ALLOW] })],
    open: EVERY_WAY.filter((way) => way !== 'blue > red'),
  },
  {
    name: 'the default namespace is denied',
    resources: [policy('red/p', { ingress: [{ action: 'Deny', source: def }, ...ALLOW] })],
    open: EVERY_WAY.filter((way) => way !== 'default > red'),
  },
  {
    name: 'of two policies the first allows one namespace',
    resources: [policy('red/a', { order: 1, ingress: [{ action: 'Allow', source: blue }] }), policy('red/b', { order: 2, ingress: DENY })],
    open: ['default > default', 'red > default', 'blue > default', 'blue > red'],
  },
  {
    name: 'of two policies the first allows the default namespace',
    resources: [policy('red/a', { order: 1, ingress: [{ action: 'Allow', source: def }] }), policy('red/b', { order: 2, ingress: DENY })],
    open: ['default > default', 'default > red', 'red > default', 'blue > default'],
  },
  {
    name: 'of two policies the first denies one namespace',
    resources: [policy('red/a', { order: 1, ingress: [{ action: 'Deny', source: blue }] }), policy('red/b', { order: 2, ingress: ALLOW })],
    open: EVERY_WAY.filter((way) => way !== 'blue > red'),
  },
  {
    name: 'mixed: a global policy denies one namespace, and what only it selects is closed',
    resources: [
      globalPolicy('g', { order: 1, types: ['Ingress'], ingress: [{ action: 'Deny', source: blue }] }),
      policy('red/p', { order: 2, ingress: ALLOW }),
    ],
    open: ['default > red', 'red > red'],
  },
  {
    name: 'mixed: a policy of the namespace, asked first, allows what a global one denies',
    resources: [
      policy('red/p', { order: 1, ingress: [{ action: 'Allow', source: blue }] }),
      globalPolicy('g', { order: 2, types: ['Ingress'], ingress: [{ action: 'Deny', source: blue }, ...ALLOW] }),
    ],
    open: EVERY_WAY.filter((way) => way !== 'blue > default'),
  },
  {
    name: 'a selector in a policy of a namespace is about that namespace',
    resources: [policy('red/p', { ingress: [{ action: 'Allow', source: { selector: 'role == "client"' } }] })],
    open: ['default > default', 'red > default', 'red > red', 'blue > default'],
  },
  {
    name: 'with a selector of all namespaces it is about all',
    resources: [policy('red/p', { ingress: [{ action: 'Allow', source: { selector: 'role == "client"', namespaceSelector: 'all()' } }] })],
    open: EVERY_WAY,
  },
  {
    name: 'what a namespace may send',
    resources: [
      policy('blue/p', { types: ['Egress'], egress: [{ action: 'Deny', destination: { namespaceSelector: 'name == "red"' } }, ...ALLOW] }),
    ],
    open: EVERY_WAY.filter((way) => way !== 'blue > red'),
  },
]

test('POL-1 namespaces: without policy, under global policies, under one and two of their own, and mixed', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain', mode: 'vxlan' }, async (lab) => {
    const clients = await addEach(lab, 'h1', NAMESPACES, 'client')
    const servers = await addEach(lab, 'h2', ['default', 'red'], 'server')
    const ends = servers.map(({ namespace }) => echoUdp(namespace, [5000]))
    const openWays = async () => {
      const found = await Promise.all(
        clients.flatMap((from) => servers.map((to) => openFlows(from.namespace, to.addresses, NAMESPACE_FLOWS))),
      )
      return EVERY_WAY.flatMap((way, i) => {
        const open = found[i] ?? []
        return open.length === 0 ? [] : open.join() === NAMESPACE_FLOWS.join() ? [way] : [`${way}: ${open}`]
      })
    }
    try {
      for (const { name, resources, open } of namespaceCases) assert.equal(await under(lab.daemon('h1'), resources, openWays), open, name)
    } finally {
      for (const end of ends) end()
    }
  })
})

function addEach(lab: Lab, host: string, namespaces: readonly string[], role: string): Promise<readonly LabWorkload[]> {
  return Promise.all(namespaces.map((one) => lab.addWorkload(host, `${role}-${one}`, ['-n', one, '--label', `role=${role}`])))
}

test.run()
