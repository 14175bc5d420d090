// at most 240 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apply, globalPolicy, patchEndpoint } from '../support/policed.ts'
import { inBatches, shareLab } from '../support/scenario.ts'
import { echoUdp, openFlows } from '../support/traffic.ts'

const test = suite('acceptance/rules')
const inLab = shareLab(test, { hosts: [0, 0], etcd: 'plain', mode: 'vxlan' })

/** So many cases are looked at at once, each with a server of its own. */
const SERVERS = 6

const FLOWS = ['tcp 80', 'tcp 81', 'tcp 443', 'tcp 8080', 'udp 53', 'udp 5000', 'icmp']
const TCP = FLOWS.filter((flow) => flow.startsWith('tcp'))
const UDP = FLOWS.filter((flow) => flow.startsWith('udp'))

/** Addresses of the workloads, which rules name. */
interface Ends {
  readonly web: readonly string[]
  readonly db: readonly string[]
  readonly server: readonly string[]
}

interface RuleCase {
  readonly name: string
  readonly rules: (ends: Ends) => readonly object[]
  readonly web: readonly string[]
  /** Absent: as `web`. */
  readonly db?: readonly string[]
}

const allow = (over: object) => ({ action: 'Allow', ...over })
const bothIcmp = (over: (types: { echo: number; other: number }) => object) => [
  allow({ protocol: 'ICMP', ...over({ echo: 8, other: 13 }) }),
  allow({ protocol: 'ICMPv6', ...over({ echo: 128, other: 130 }) }),
]
const toPorts = (protocol: string, destination: object) => [allow({ protocol, destination })]

const ruleCases: readonly RuleCase[] = [
  { name: 'no rule', rules: () => [], web: [] },
  { name: 'a protocol by name', rules: () => [allow({ protocol: 'TCP' })], web: TCP },
  { name: 'a protocol by number', rules: () => [allow({ protocol: 17 })], web: UDP },
  { name: 'any but a protocol', rules: () => [allow({ notProtocol: 'TCP' })], web: [...UDP, 'icmp'] },
  { name: 'ICMP', rules: () => bothIcmp(() => ({})), web: ['icmp'] },
  { name: 'a type of ICMP', rules: () => bothIcmp(({ echo }) => ({ icmp: { type: echo } })), web: ['icmp'] },
  { name: 'another type', rules: () => bothIcmp(({ other }) => ({ icmp: { type: other } })), web: [] },
  { name: 'a type and its code', rules: () => bothIcmp(({ echo }) => ({ icmp: { type: echo, code: 0 } })), web: ['icmp'] },
  { name: 'a type and another code', rules: () => bothIcmp(({ echo }) => ({ icmp: { type: echo, code: 1 } })), web: [] },
  { name: 'not this type', rules: () => bothIcmp(({ echo }) => ({ notICMP: { type: echo } })), web: [] },
  { name: 'not another type', rules: () => bothIcmp(({ other }) => ({ notICMP: { type: other } })), web: ['icmp'] },
  { name: 'not this type with another code', rules: () => bothIcmp(({ echo }) => ({ notICMP: { type: echo, code: 1 } })), web: ['icmp'] },
  { name: 'source addresses', rules: ({ web }) => eachFamily(web, (nets) => ({ source: { nets } })), web: FLOWS, db: [] },
  { name: 'excluded source addresses', rules: ({ web }) => eachFamily(web, (notNets) => ({ source: { notNets } })), web: [], db: FLOWS },
  {
    name: 'source nets but for some',
    rules: ({ web }) =>
      eachFamily(web, (notNets) => ({ source: { nets: [notNets[0]?.includes(':') ? 'fd65::/48' : '10.65.0.0/16'], notNets } })),
    web: [],
    db: FLOWS,
  },
  {
    name: 'nets that nobody is in',
    rules: () => eachFamily(['198.51.100.1', '2001:db8:51::1'], (nets) => ({ source: { nets } })),
    web: [],
  },
  { name: 'destination addresses', rules: ({ server }) => eachFamily(server, (nets) => ({ destination: { nets } })), web: FLOWS },
  { name: 'other destinations', rules: ({ server }) => eachFamily(server, (notNets) => ({ destination: { notNets } })), web: [] },
  { name: 'each family', rules: () => [4, 6].map((ipVersion) => allow({ ipVersion, protocol: 'TCP' })), web: TCP },
  { name: 'a selector', rules: () => [allow({ source: { selector: 'role == "web"' } })], web: FLOWS, db: [] },
  { name: 'not a selector', rules: () => [allow({ source: { notSelector: 'role == "web"' } })], web: [], db: FLOWS },
  {
    name: 'a selector and not another',
    rules: () => [allow({ source: { selector: 'has(role)', notSelector: 'role == "db"' } })],
    web: FLOWS,
    db: [],
  },
  { name: 'a network set', rules: () => [allow({ source: { selector: 'set == "of-web"' } })], web: FLOWS, db: [] },
  { name: 'not in a network set', rules: () => [allow({ source: { notSelector: 'set == "of-web"' } })], web: [], db: FLOWS },
  { name: 'a label of a profile', rules: () => [allow({ source: { selector: 'badge == "gold"' } })], web: [], db: FLOWS },
  { name: 'TCP ports', rules: () => toPorts('TCP', { ports: [80, 443] }), web: ['tcp 80', 'tcp 443'] },
  { name: 'a range', rules: () => toPorts('TCP', { ports: ['81:8080'] }), web: ['tcp 81', 'tcp 443', 'tcp 8080'] },
  { name: 'ports and ranges', rules: () => toPorts('TCP', { ports: [8080, '80:81'] }), web: ['tcp 80', 'tcp 81', 'tcp 8080'] },
  { name: 'UDP ports', rules: () => toPorts('UDP', { ports: [53] }), web: ['udp 53'] },
  { name: 'a UDP range', rules: () => toPorts('UDP', { ports: ['4999:5001'] }), web: ['udp 5000'] },
  { name: 'excluded ports', rules: () => toPorts('TCP', { notPorts: [80, '400:9000'] }), web: ['tcp 81'] },
  { name: 'a port by name', rules: () => toPorts('TCP', { ports: ['http'] }), web: ['tcp 8080'] },
  { name: 'a port by name or number', rules: () => toPorts('TCP', { ports: ['http', 81] }), web: ['tcp 81', 'tcp 8080'] },
  { name: 'not a port by name', rules: () => toPorts('TCP', { notPorts: ['http'] }), web: ['tcp 80', 'tcp 81', 'tcp 443'] },
  { name: 'a name for another protocol', rules: () => toPorts('UDP', { ports: ['http'] }), web: [] },
  { name: 'source ports', rules: () => [allow({ protocol: 'UDP', source: { ports: [1] } })], web: [] },
  { name: 'not these source ports', rules: () => [allow({ protocol: 'TCP', source: { notPorts: [1] } })], web: TCP },
  {
    name: 'the first rule that matches decides',
    rules: () => [{ action: 'Deny', protocol: 'TCP', destination: { ports: [80] } }, { action: 'Log' }, allow({})],
    web: FLOWS.slice(1),
  },
]

/** A rule for the addresses of each family. */
function eachFamily(addresses: readonly string[], match: (nets: readonly string[]) => object): readonly object[] {
  return [4, 6].map((ipVersion) => allow({ ipVersion, ...match(addresses.filter(isOf(ipVersion)).map(asNet)) }))
}

function asNet(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

function isOf(family: number): (address: string) => boolean {
  return (address) => address.includes(':') === (family === 6)
}

test('POL-2 rules: each match of a rule, and its contrary', async () => {
  await inLab(async (lab) => {
    const [admin, profile] = [lab.daemon('h1'), 'gold']
    const web = await lab.addWorkload('h1', 'web', ['--label', 'role=web'])
    const db = await lab.addWorkload('h1', 'db', ['--label', 'role=db'])
    const names = Array.from({ length: SERVERS }, (_, i) => `server-${i}`)
    const servers = await Promise.all(names.map((name) => lab.addWorkload('h2', name, ['--label', `role=${name}`])))
    const echoes = servers.map(({ namespace }) => echoUdp(namespace, [53, 5000]))
    const set = {
      kind: 'GlobalNetworkSet',
      metadata: { name: 'of-web', labels: { set: 'of-web' } },
      spec: { nets: web.addresses.map(asNet) },
    }
    try {
      await apply(admin, set, { kind: 'Profile', metadata: { name: profile }, spec: { labelsToApply: { badge: 'gold' } } })
      await Promise.all(names.map((name) => patchEndpoint(admin, name, { ports: [{ name: 'http', protocol: 'TCP', port: 8080 }] })))
      await patchEndpoint(admin, 'db', { profiles: ['kns.default', profile] })
      for (const batch of inBatches(ruleCases, SERVERS)) {
        const policies = batch.map(({ rules }, i) => {
          const ingress = rules({ web: web.addresses, db: db.addresses, server: servers[i]?.addresses ?? [] })
          return globalPolicy(`p${i}`, { selector: `role == "${names[i]}"`, types: ['Ingress'], ingress })
        })
        await apply(admin, ...policies)
        const found = await Promise.all(
          batch.map(async ({ name }, i) => {
            const [fromWeb, fromDb] = await Promise.all(
              [web, db].map((from) => openFlows(from.namespace, servers[i]?.addresses ?? [], FLOWS)),
            )
            return { name, web: fromWeb, db: fromDb }
          }),
        )
        assert.equal(
          found,
          batch.map((one) => ({ name: one.name, web: one.web, db: one.db ?? one.web })),
        )
      }
    } finally {
      for (const end of echoes) end()
    }
  })
})

test('POL-2 source ports: only connections from these', async () => {
  await inLab(async (lab) => {
    const [client, server] = [await lab.addWorkload('h1', 'client-1'), await lab.addWorkload('h2', 'ported', ['--label', 'role=ported'])]
    const ingress = [{ action: 'Allow', protocol: 'TCP', source: { ports: [4000, '4010:4020'] } }]
    await apply(lab.daemon('h1'), globalPolicy('ported', { selector: 'role == "ported"', types: ['Ingress'], ingress }))
    const look = (port: number) => openFlows(client.namespace, server.addresses, ['tcp 80'], port)
    const open = await Promise.all([3999, 4000, 4001, 4010, 4020, 4021].map(async (port) => ((await look(port)).length > 0 ? [port] : [])))
    assert.equal(open.flat(), [4000, 4010, 4020])
  })
})

test('POL-2 profiles: their rules hold where no policy does', async () => {
  await inLab(async (lab) => {
    const [client, server] = [
      await lab.addWorkload('h1', 'client-2'),
      await lab.addWorkload('h2', 'profiled', ['--label', 'role=profiled']),
    ]
    const profile = (name: string, spec: object) => ({ kind: 'Profile', metadata: { name }, spec })
    const look = () => openFlows(client.namespace, server.addresses, TCP)
    const only = (...ports: readonly number[]) => [{ action: 'Allow', protocol: 'TCP', destination: { ports } }]
    await apply(
      lab.daemon('h1'),
      profile('first', { ingress: only(80), egress: [{ action: 'Allow' }] }),
      profile('second', { ingress: only(81) }),
    )
    assert.equal(await look(), TCP)
    await patchEndpoint(lab.daemon('h1'), 'profiled', { profiles: ['first', 'second'] })
    assert.equal(await look(), ['tcp 80', 'tcp 81'])
    await patchEndpoint(lab.daemon('h1'), 'profiled', { profiles: ['none-of-this-name'] })
    assert.equal(await look(), [], 'a profile that does not exist denies')
    await apply(lab.daemon('h1'), globalPolicy('profiled', { selector: 'role == "profiled"', types: ['Ingress'], ingress: only(443) }))
    assert.equal(await look(), ['tcp 443'], 'with a policy profiles are not asked')
  })
})

test.run()
