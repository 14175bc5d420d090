import { spawn } from 'node:child_process'
import { existsSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../errors.ts'
import { createKernel } from '../kernel/kernel.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import type { NftHook, NftMatch, NftObject, NftVerdict, TableName, TableTypes } from '../kernel/objects.ts'
import { keyOf, MAIN_TABLE } from '../kernel/objects.ts'
import type { KernelTables } from '../kernel/table.ts'
import { silentLogger } from '../log.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { parseMac } from '../net/mac.ts'

/** What became of one thing that is tried. */
export interface Probe {
  /** As people know it: the kernel's module, where there is one. */
  readonly name: string
  readonly about: string
  /** Without it margay can't do its work; else only that one thing. */
  readonly isRequired: boolean
  /** Why it does not work; absent: it works. */
  readonly fault?: string
}

type Trial = Omit<Probe, 'fault'> & { readonly run: (tables: KernelTables, signal: AbortSignal) => Promise<void> }

/**
 * Tries in this process's network namespace, which must be an empty one that goes with it, what margay does on a host: the kernel says
 * best itself what it can. Each line that is written is a Probe as JSON.
 */
export async function probeSystem(print: (text: string) => number): Promise<number> {
  const policy = new NftablesTable({ log: silentLogger })
  const kernel = createKernel({ policy })
  try {
    for (const { run, ...trial } of TRIALS)
      print(`${JSON.stringify({ ...trial, ...(await tried(() => run(kernel.tables, AbortSignal.timeout(10_000)))) })}\n`)
    return 0
  } finally {
    kernel.close()
    policy.close()
  }
}

async function tried(run: () => Promise<void>): Promise<{ readonly fault?: string }> {
  try {
    await run()
    return {}
  } catch (error) {
    return { fault: describeError(error) }
  }
}

/** Puts one object into a table; throws why the kernel refuses it. */
async function put<T extends TableName>(tables: KernelTables, table: T, value: TableTypes[T], signal: AbortSignal): Promise<void> {
  const failures = await tables[table].commit({ put: new Map([[keyOf[table](value), value]]), remove: new Map() }, signal)
  for (const error of failures.values()) throw error
}

const FILTER: NftHook = { type: 'filter', hook: 'forward', priority: 0 }
const NAT: NftHook = { type: 'nat', hook: 'postrouting', priority: 100 }

function chain(name: string, hook: NftHook, matches: readonly NftMatch[], verdict: NftVerdict): NftObject {
  return { kind: 'chain', name, hook, rules: [{ matches, verdict, isCounted: true }] }
}

function ruleTrial(name: string, about: string, hook: NftHook, matches: readonly NftMatch[], verdict: NftVerdict): Trial {
  return {
    name,
    about,
    isRequired: true,
    run: (tables, signal) => put(tables, 'policy', chain(`probe-${name}`, hook, matches, verdict), signal),
  }
}

function tunnelTrial(name: string, about: string, local: string, isRequired: boolean): Trial {
  const link: TableTypes['links'] = {
    kind: 'vxlan',
    ...{ name: `margay.${name}`, mtuBytes: 1280, mac: parseMac('66:00:5e:00:53:01'), vni: 4096, uplink: 'lo' },
    ...{ port: local.includes(':') ? 4790 : 4789, local: parseIp(local) },
  }
  return { name, about, isRequired, run: (tables, signal) => put(tables, 'links', link, signal) }
}

function routeTrial(name: string, about: string, destination: string, isRequired: boolean): Trial {
  const route = { table: MAIN_TABLE, destination: parseCidr(destination), metric: 0, type: 'blackhole' } as const
  return { name, about, isRequired, run: (tables, signal) => put(tables, 'routes', route, signal) }
}

const ADDRESSES: NftObject = { kind: 'set', name: 'probe', family: 4, isInterval: true, elements: new Set(['192.0.2.0/24']) }

const LIMIT = { rate: 10, seconds: 1, burst: 5 } as const
const LOG = { group: 77, prefix: 'probe' }

/** In this order, because later ones need earlier ones. */
const TRIALS: readonly Trial[] = [
  ruleTrial('nf_tables', 'rules of the packet filter', FILTER, [{ on: 'protocol', value: 17 }], { do: 'accept' }),
  {
    name: 'nft_set_rbtree',
    about: 'sets of prefixes',
    isRequired: true,
    run: (tables, signal) => put(tables, 'policy', ADDRESSES, signal),
  },
  ruleTrial('nf_conntrack', 'states of connections', FILTER, [{ on: 'ct-state', value: ['established'] }], { do: 'accept' }),
  ruleTrial(
    'nft_fib',
    'addresses of the host',
    FILTER,
    [
      { on: 'family', value: 4 },
      { on: 'daddr-type', value: 'local' },
    ],
    { do: 'accept' },
  ),
  {
    name: 'nfnetlink_log',
    about: 'what rules tell of packets (margay flows)',
    isRequired: false,
    run: (tables, signal) =>
      put(
        tables,
        'policy',
        { kind: 'chain', name: 'probe-log', rules: [{ matches: [], limit: LIMIT, log: LOG, verdict: { do: 'drop' } }] },
        signal,
      ),
  },
  { name: 'nft_objref', about: 'counters that rules share', isRequired: true, run: tryCounter },
  ruleTrial('nft_reject', 'rules that refuse', FILTER, [{ on: 'protocol', value: 6 }], { do: 'reject' }),
  ruleTrial('nft_masq', 'masquerading', NAT, [{ on: 'family', value: 4 }], { do: 'masquerade', isRandom: false }),
  tunnelTrial('vxlan', 'tunnels over IPv4', '127.0.0.1', true),
  tunnelTrial('vxlan6', 'tunnels over IPv6', '::1', false),
  routeTrial('route', 'routes of IPv4', '198.51.100.0/24', true),
  routeTrial('route6', 'routes of IPv6', '2001:db8:1::/48', false),
  { name: 'veth', about: "workloads' interfaces", isRequired: true, run: tryPair },
]

async function tryCounter(tables: KernelTables, signal: AbortSignal): Promise<void> {
  await put(tables, 'policy', { kind: 'counter', name: 'probe' }, signal)
  await put(
    tables,
    'policy',
    { kind: 'chain', name: 'probe-counter', rules: [{ matches: [], counter: 'probe', verdict: { do: 'drop' } }] },
    signal,
  )
}

/** A pair into a second empty namespace, which a process of its own holds for that long. */
async function tryPair(tables: KernelTables, signal: AbortSignal): Promise<void> {
  const holder = spawn('unshare', ['--net', 'sleep', '30'], { stdio: 'ignore' })
  try {
    const netns = `/proc/${holder.pid}/ns/net`
    while (!isOther(netns)) await delay(10, undefined, { signal })
    const peer = { netns, name: 'eth0', addresses: [], gateways: [] }
    const pair = { kind: 'veth', name: 'mgy00000000000', mtuBytes: 1400, mac: parseMac('ee:ee:ee:ee:ee:ee'), peer } as const
    await put(tables, 'links', pair, signal)
  } finally {
    holder.kill('SIGKILL')
  }
}

/** Whether the process has left our namespace already. */
function isOther(netns: string): boolean {
  return existsSync(netns) && readlinkSync(netns) !== readlinkSync('/proc/self/ns/net')
}
