// at most 900 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../test/support/nft-lab.ts'
import { startStream } from '../../test/support/packet-stream.ts'
import { anEndpoint } from '../../test/support/planning.ts'
import { policyHost, randomVariant, setsBeside, type Variant } from '../../test/support/policed-world.ts'
import { aGlobalNetworkSet, aGlobalPolicy, aHostEndpoint, aPacket, aTier } from '../../test/support/policies.ts'
import { createPolicyLab, OWN, type PolicyLab, REACHED } from '../../test/support/policy-lab.ts'
import { idOf, type Random, randomOf, randomRule } from '../../test/support/random-policies.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import type { EntityRule, Rule } from '../model/rule.ts'
import { PolicyEngine, type PolicyInput } from './engine.ts'

const test = suite('policy/commits')

const { signal } = new AbortController()
const IS_LONG = process.env['TEST_LONG'] !== undefined
/** The test goes on until there were as many of each. */
const [COMMITS, PACKETS] = IS_LONG ? [2000, 5_000_000] : [40, 100_000]
const KINDS = ['member', 'rule', 'endpoint', 'everything'] as const
const ALLOWED = 80
/** By a rule, and because nothing allows it. */
const DENIED = [81, 82]

/** From a workload to another one, and from outside to the host, in both families. */
const WAYS = [
  { from: 'mgyw1', source: REACHED.mgyw1[0], to: 'mgyw2', destination: REACHED.mgyw2[0] },
  { from: 'mgyw1', source: REACHED.mgyw1[1], to: 'mgyw2', destination: REACHED.mgyw2[1] },
  { from: 'eth0', source: REACHED.eth0[0], to: 'host', destination: OWN.eth0[0] },
  { from: 'eth0', source: REACHED.eth0[2], to: 'host', destination: OWN.eth0[1] },
] as const

/** What changes from commit to commit; none of it is about the packets that are counted. */
class Churn {
  readonly engine: PolicyEngine
  readonly random: Random
  #variant: Variant
  #members = 0
  #isPrefixed = false
  readonly #workloads = new Set<number>()
  #hasSecond = false

  constructor(random: Random) {
    this.random = random
    this.#variant = calm(randomVariant(random))
    this.engine = new PolicyEngine(policyHost(this.#variant))
    for (const resource of this.#fixed()) this.#set(resource)
    this.#changeRules()
    this.#changeMembers()
  }

  get objects(): ReadonlyMap<string, NftObject> {
    const steps = this.engine.flush()
    while (!steps.next().done);
    assert.equal([...this.engine.problems.values()], [])
    return new Map([...setsBeside(this.#variant), ...this.engine.objects.values()].map((object) => [keyOf.policy(object), object]))
  }

  change(kind: (typeof KINDS)[number]): void {
    if (kind === 'member') this.#changeMembers()
    else if (kind === 'rule') this.#changeRules()
    else if (kind === 'endpoint') this.#changeEndpoints()
    else {
      this.#variant = calm(randomVariant(this.random))
      this.engine.setHost(policyHost(this.#variant))
    }
  }

  #set(resource: PolicyInput): void {
    this.engine.set(resource.kind, idOf(resource), resource)
  }

  #fixed(): readonly PolicyInput[] {
    const labelled = (name: string, link: 'mgyw1' | 'mgyw2') => {
      const made = anEndpoint(name, 'h1', REACHED[link], { interfaceName: link })
      return { ...made, metadata: { ...made.metadata, labels: { always: 'yes' } } }
    }
    return [
      aTier('default', { order: 1e6, defaultAction: 'Deny' }),
      labelled('w1', 'mgyw1'),
      labelled('w2', 'mgyw2'),
      aHostEndpoint('eth0', { interfaceName: 'eth0' }),
      aGlobalNetworkSet('outside', { always: 'yes' }, ...REACHED.eth0, ...OWN.eth0),
    ]
  }

  /** One member more; now and then a prefix, which makes another set of it. */
  #changeMembers(): void {
    this.#members = (this.#members + 1) % 50
    if (this.random(10) === 0) this.#isPrefixed = !this.#isPrefixed
    const single = Array.from({ length: this.#members }, (_, i) => `198.18.0.${i}`)
    const more = this.#isPrefixed ? ['198.19.0.0/16', '2001:db8:77::/48'] : ['2001:db8:77::1']
    this.#set(aGlobalNetworkSet('more', { always: 'yes' }, ...single, ...more))
  }

  #changeRules(): void {
    const noise = () => Array.from({ length: this.random(this.random(5) === 0 ? 80 : 6) }, () => this.#noise())
    const rules = (peer: 'source' | 'destination'): readonly Rule[] => {
      const ports = { ports: [ALLOWED] }
      const selector = { selector: 'always == "yes"' }
      const ends: { source?: EntityRule; destination: EntityRule } =
        peer === 'source' ? { source: selector, destination: ports } : { destination: { ...selector, ...ports } }
      return [
        ...noise(),
        { action: 'Allow', protocol: 'UDP', ...ends },
        ...noise(),
        { action: 'Deny', protocol: 'UDP', destination: { ports: [81] } },
        ...noise(),
      ]
    }
    const both = { types: ['Ingress', 'Egress'], applyOnForward: true } as const
    this.#set(aGlobalPolicy('always', { ...both, order: 2, ingress: rules('source'), egress: rules('destination') }))
    this.#set(aGlobalPolicy(`noise-${this.random(4)}`, { ...both, order: this.random(5), ingress: noise(), egress: noise() }))
  }

  /** A rule of any kind that is not for the packets that are counted. */
  #noise(): Rule {
    const { notProtocol: _, icmp: __, notICMP: ___, ...rule } = randomRule(this.random, 'ingress')
    return { ...rule, protocol: 'TCP' }
  }

  #changeEndpoints(): void {
    const index = this.random(8)
    const made = anEndpoint(`x${index}`, 'h1', [`10.65.1.${index + 1}`], { interfaceName: `mgyx${index}` })
    if (this.#workloads.delete(index)) this.engine.set('WorkloadEndpoint', idOf(made), undefined)
    else {
      this.#workloads.add(index)
      this.#set(made)
    }
    if (this.random(3) > 0) return
    this.#hasSecond = !this.#hasSecond
    if (this.#hasSecond) this.#set(aHostEndpoint('eth1', { interfaceName: 'eth1' }))
    else this.engine.set('HostEndpoint', 'eth1', undefined)
  }
}

/** Nothing that lets the counted packets through, or shuts them out, before policies are asked. */
function calm(variant: Variant): Variant {
  return { ...variant, implicit: { ...variant.implicit, etcd: { endpoints: [], ownPorts: [] }, bgp: undefined }, tunnels: [] }
}

/** Puts what is new, then removes what is old, as the daemon does. */
async function commit(table: NftablesTable, before: ReadonlyMap<string, NftObject>, after: ReadonlyMap<string, NftObject>): Promise<void> {
  const put = new Map([...after].filter(([key, object]) => before.get(key) !== object))
  const remove = new Map([...before].filter(([key]) => !after.has(key)))
  for (const delta of [
    { put, remove: new Map() },
    { put: new Map(), remove },
  ]) {
    const failures = await table.commit(delta, signal)
    assert.equal(
      [...failures].map(([key, error]) => `${key}: ${error.message}`),
      [],
    )
  }
}

/** Counts UDP packets by family and port where they come to: behind all of the host's rules. */
function countAt(lab: PolicyLab): () => Readonly<Record<string, number>> {
  const ends = { mgyw2: lab.neighbours.mgyw2, host: lab.host }
  const ports = [ALLOWED, ...DENIED]
  for (const [end, { run }] of Object.entries(ends)) {
    // The neighbour drops what it has got, so it is counted before that; the host's rules end at priority 0.
    const hook = end === 'host' ? 'input priority 300' : 'prerouting priority -500'
    const rules = [4, 6].flatMap((family) =>
      ports.map((port) => `meta nfproto ipv${family} udp dport ${port} counter comment "${family} ${port}"`),
    )
    run('nft', `table inet count { chain counted { type filter hook ${hook};\n${rules.join('\n')}\n}\n}`)
  }
  return () => {
    const found = Object.entries(ends).flatMap(([end, { run }]) =>
      [...run('nft', 'list', 'table', 'inet', 'count').matchAll(/packets (\d+) .* comment "(\d \d+)"/g)].map(
        ([, count, what]) => [`${end} ${what}`, Number(count)] as const,
      ),
    )
    return Object.fromEntries(found)
  }
}

test(`${COMMITS} commits of all kinds under ${PACKETS} packets that are always allowed and as many that never are: none is lost, none passes`, async () => {
  const lab = createPolicyLab('commits')
  const table = new NftablesTable({ netns: lab.host.path, log: silentLogger })
  const churn = new Churn(randomOf(Number(process.env['TEST_SEED'] ?? 1)))
  const count = countAt(lab)
  try {
    let objects = churn.objects
    await commit(table, new Map(), objects)
    const end = (address: string, port: number) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)
    const packets = WAYS.flatMap(({ from, source = '', destination = '' }) =>
      // As many that are allowed as are denied.
      [ALLOWED, ALLOWED, ...DENIED].map((port, i) => ({
        netns: lab.neighbours[from].path,
        packet: aPacket(`udp ${end(source, 20_000 + i)} > ${end(destination, port)}`),
      })),
    )
    const stream = startStream(packets)
    let commits = 0
    const isEnough = () => commits >= COMMITS && stream.rounds * WAYS.length * 2 >= PACKETS
    try {
      while (!isEnough()) {
        const kind = KINDS[commits % KINDS.length] ?? 'member'
        churn.change(kind)
        const next = churn.objects
        await commit(table, objects, next)
        objects = next
        commits++
      }
    } finally {
      await stream.end()
    }
    const rounds = stream.rounds
    const want = WAYS.flatMap(({ to, source = '' }) => {
      const family = source.includes(':') ? 6 : 4
      return [ALLOWED, ...DENIED].map((port) => [`${to} ${family} ${port}`, port === ALLOWED ? 2 * rounds : 0] as const)
    })
    // The last ones may still lie in a queue of the kernel's; what does not come in time is told as lost.
    const isComplete = () => want.every(([what, number]) => (count()[what] ?? 0) >= number)
    await until('the last packets', () => isComplete() || undefined).catch(() => undefined)
    console.log(`  ${commits} commits; ${rounds * WAYS.length * 2} packets allowed and as many denied`)
    assert.equal(count(), Object.fromEntries(want))
  } finally {
    table.close()
    lab.close()
  }
})

test.run()
