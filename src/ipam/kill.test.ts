import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startEtcd } from '../../test/support/etcd.ts'
import { plainEtcd } from '../../test/support/store.ts'
import { IpamError } from '../errors.ts'
import { silentLogger } from '../log.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { countHeld, findFaults, never, putNode, putPool, readRecords } from './fixtures.ts'
import { createIpam } from './ipam.ts'

/** Set in the processes that are killed: where etcd is, and which host they are. */
const CHILD = process.env['MARGAY_TEST_IPAM_CHILD']
const FOR_MS = 8000
const HOSTS = ['h1', 'h2', 'h3']

if (CHILD !== undefined) await work(CHILD)
else {
  const test = suite('ipam/kill')
  test('processes that are killed with -9 at any moment leave nothing that cannot be released', killForAWhile)
  test.run()
}

async function killForAWhile(): Promise<void> {
  const cluster = await startEtcd()
  const store = plainEtcd(cluster.endpoints)
  try {
    await putPool(store, 'four', '10.65.0.0/25', { blockSize: 28, vxlanMode: 'Always' })
    await putPool(store, 'six', 'fd00:65::/121', { blockSize: 125 })
    for (const host of HOSTS) await putNode(store, host)
    const deadline = Date.now() + FOR_MS
    const kills = await Promise.all(HOSTS.map((host) => killAgainAndAgain(cluster.endpoints[0] ?? '', host, deadline)))
    const records = await readRecords(store)
    const total = kills.reduce((sum, count) => sum + count, 0)
    process.stdout.write(`\n  ${JSON.stringify({ kills: total, held: countHeld(records), handles: records.handles.size })}\n`)
    assert.equal(await findFaults(store), [])
    const h1 = createIpam({ store, node: 'h1', log: silentLogger })
    for (const handleId of records.handles.keys()) await h1.releaseByHandle(handleId, never)
    assert.is(countHeld(await readRecords(store)), 0)
    assert.is((await h1.autoAssign({ handleId: 'w', attributes: {}, count: 128, families: [4] }, never)).length, 128)
    assert.equal(await findFaults(store), [])
  } finally {
    store.close()
    await cluster.close()
  }
}

/** Starts a process for the host, kills it in the middle of its work, and starts the next one. */
async function killAgainAndAgain(endpoint: string, host: string, deadline: number): Promise<number> {
  let kills = 0
  for (; Date.now() < deadline || kills < 2; kills++) {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, process.argv[1] ?? ''], {
      env: { ...process.env, MARGAY_TEST_IPAM_CHILD: `${endpoint} ${host} ${kills}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await isWorking(child)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    const [code] = await exited
    assert.is(code, null, 'it was killed and did not end by itself')
  }
  return kills
}

async function isWorking(child: ChildProcess): Promise<void> {
  if (child.stdout !== null) await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
}

/** Until killed: everything that address management can do, over and over. */
async function work(text: string): Promise<void> {
  const [endpoint = '', node = '', run = ''] = text.split(' ')
  const store = plainEtcd([endpoint])
  const ipam = createIpam({ store, node, log: silentLogger })
  const random = (below: number) => Math.floor(Math.random() * below)
  process.stdout.write('working\n')
  const deeds: readonly ((handleId: string) => Promise<unknown>)[] = [
    (handleId) => ipam.autoAssign({ handleId, attributes: {}, count: 1 + random(20) }, never),
    (handleId) => ipam.autoAssign({ handleId, attributes: {}, keepHeld: true }, never),
    (handleId) => ipam.assignIp({ ip: parseIp(`10.65.0.${random(128)}`), handleId, attributes: {} }, never),
    (handleId) => ipam.releaseByHandle(handleId, never),
    async (handleId) => ipam.releaseIps((await ipam.heldBy(handleId, never)).slice(0, 3), never),
    () => ipam.ensureTunnelAddress({ family: 4, current: undefined }, never),
    () => ipam.releaseTunnelAddress(4, never),
    () => ipam.releaseHostAffinities(node, { mustBeEmpty: random(2) === 0 }, never),
    () => ipam.releasePoolAffinities(parseCidr('10.65.0.0/25'), never),
  ]
  for (let i = 0; ; i++) {
    try {
      await deeds[random(deeds.length)]?.(`${node}.${run}.${i % 3}`)
    } catch (error) {
      if (!(error instanceof IpamError)) throw error
    }
  }
}
