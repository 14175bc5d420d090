import { type ChildProcess, spawn } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace, joinNamespaces, type Namespace, until } from '../../test/support/nft-lab.ts'
import { byFamily } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { keyOf, type NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import { PolicyEngine } from './engine.ts'
import { policySettings } from './felix-settings.ts'
import { planFrame } from './frame.ts'

const test = suite('policy/tracking')
const { signal } = new AbortController()

/** Echoes what it gets, and says when it listens. */
const SERVER = `require('net').createServer((c) => c.pipe(c)).listen(8080, '::', () => console.log('listens'))`
/** Sends what it is told, and prints what comes back. */
const client = (address: string) =>
  `const c = require('net').connect(8080, '${address}', () => console.log('connected')); c.pipe(process.stdout); process.stdin.pipe(c)`

interface Talk {
  /** Sends a line and waits for its echo. */
  readonly echo: (line: string) => Promise<void>
  readonly send: (line: string) => void
  readonly heard: () => string
}

interface Scene {
  readonly host: Namespace
  readonly put: (objects: readonly NftObject[]) => Promise<void>
  readonly connect: (address: string) => Promise<Talk>
  /** Begins to connect; tells whether it has. */
  readonly tryToConnect: (address: string) => () => boolean
}

async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const [host, outside] = [createNamespace('trackh'), createNamespace('tracko')]
  const table = new NftablesTable({ netns: host.path, log: silentLogger })
  const processes: ChildProcess[] = []
  const start = (namespace: Namespace, script: string) => {
    const child = spawn('nsenter', [`--net=${namespace.path}`, process.execPath, '-e', script], { stdio: ['pipe', 'pipe', 'ignore'] })
    processes.push(child)
    let heard = ''
    child.stdout.on('data', (bytes: Buffer) => {
      heard += bytes.toString()
    })
    const says = (word: string) => until(word, () => (heard.includes(word) ? true : undefined))
    return { child, heard: () => heard, says }
  }
  try {
    joinNamespaces(host, 'eth0', outside, 'eth0')
    host.ip('addr add 192.0.2.1/24 dev eth0', 'addr add 2001:db8::1/64 dev eth0 nodad')
    outside.ip('addr add 192.0.2.2/24 dev eth0', 'addr add 2001:db8::2/64 dev eth0 nodad')
    await start(host, SERVER).says('listens')
    const connect = async (address: string): Promise<Talk> => {
      const { child, heard, says } = start(outside, client(address))
      await says('connected')
      const send = (line: string) => void child.stdin.write(`${line}\n`)
      const echo = async (line: string) => {
        send(line)
        await says(line)
      }
      return { send, echo, heard }
    }
    const put = async (objects: readonly NftObject[]) => {
      const wanted = new Map(objects.map((object) => [keyOf.policy(object), object]))
      assert.equal([...(await table.commit({ put: wanted, remove: new Map() }, signal))].map(String), [])
    }
    const tryToConnect = (address: string) => {
      const { heard } = start(outside, client(address))
      return () => heard().includes('connected')
    }
    await work({ host, put, connect, tryToConnect })
  } finally {
    for (const one of processes) one.kill('SIGKILL')
    table.close()
    for (const one of [host, outside]) one.remove()
  }
}

/** What a host has from its daemon's start. */
function frame(): readonly NftObject[] {
  const none = { workloadInterfaces: [], tunnelInterfaces: [], otherInterfaces: [] }
  return planFrame({ ...none, hosts: byFamily([]), externalHosts: [], vxlan: undefined, forwardOnlyOurs: false })
}

/** A host endpoint that lets nothing in. */
function closed(): readonly NftObject[] {
  const settings = { ...policySettings({}), workloadInterfaces: [], implicit: [], markBit: 0x1000_0000 }
  const engine = new PolicyEngine({ node: 'h1', interfaces: [{ name: 'eth0', addresses: [] }], settings })
  engine.set('HostEndpoint', 'eth0', aHostEndpoint('eth0', { interfaceName: 'eth0' }))
  const steps = engine.flush()
  while (steps.next().done !== true);
  return [...engine.objects.values()]
}

const dropped = (host: Namespace) =>
  [...host.run('nft', 'list', 'table', 'inet', 'margay').matchAll(/packets (\d+) bytes \d+\s+drop|packets (\d+)/g)]
    .map(([, a, b]) => Number(a ?? b))
    .reduce((sum, count) => sum + count, 0)

for (const [family, address] of [
  ['IPv4', '192.0.2.1'],
  ['IPv6', '2001:db8::1'],
] as const) {
  test(`${family}: what was connected before the first host endpoint goes on after it, and nothing new comes in`, () =>
    withScene(async ({ host, put, connect, tryToConnect }) => {
      await put(frame())
      const talk = await connect(address)
      await talk.echo('before')
      await put(closed())
      await talk.echo('after')
      assert.is(dropped(host), 0)
      const isConnected = tryToConnect(address)
      await until('a drop', () => (dropped(host) > 0 ? true : undefined))
      assert.is(isConnected(), false)
    }))

  test(`${family}: without the rule that begins to track it is cut`, () =>
    withScene(async ({ host, put, connect }) => {
      await put(frame().filter(({ name }) => name !== 'tracking'))
      const talk = await connect(address)
      await talk.echo('before')
      await put(closed())
      talk.send('after')
      await until('a drop', () => (dropped(host) > 0 ? true : undefined))
      assert.not.match(talk.heard(), 'after')
    }))
}

test.run()
