import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { NODE_FLAGS } from '../scripts/node-flags.mjs'
import { silentLogger } from '../src/log.ts'
import { Follower } from '../src/store/follower.ts'
import { plainEtcd } from '../test/support/store.ts'
import { endpointKey, endpointText } from './synthetic-endpoints.ts'

/** What a process that follows an etcd found. */
export interface Followed {
  /** Endpoints in its view. */
  readonly endpoints: number
  /** From the first call to the whole view. */
  readonly listMs: number
  /** Resident memory of the process when it has come to rest. */
  readonly rssMb: number
  /** The most that it ever was. */
  readonly peakMb: number
  /** The longest stretch in which nothing else could run while it listed. */
  readonly stretchMs: number
  /** For each change: from sending the write to its being in the view. */
  readonly changesMs: readonly number[]
}

/** What the process is told on its command line. */
interface Task {
  readonly endpoints: readonly string[]
  readonly changes: number
}

/** V8 collects what listing left behind some ten seconds after it; so long it is waited for. Milliseconds. */
const MOST_REST_MS = 60_000
/** An empty process has nothing to collect, and after a collection the pages are given back. Milliseconds. */
const REST_MS = 3000

/** Follows an etcd in a process of its own, with the daemon's flags; `entry` is a file that calls `follow` when it is started. */
export async function followInProcess(entry: string, task: Task): Promise<Followed> {
  const child = fork(entry, [JSON.stringify(task)], { execArgv: [...NODE_FLAGS], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  try {
    return await new Promise<Followed>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Followed))
      child.once('exit', (code) => reject(new Error(`the process that follows etcd ended with ${code}`)))
    })
  } finally {
    child.kill()
  }
}

/** What that process does. */
export async function follow(argument: string): Promise<void> {
  const { endpoints, changes } = JSON.parse(argument) as Task
  const store = plainEtcd(endpoints)
  const stop = new AbortController()
  const stretch = watchStretches()
  const follower = new Follower(store, { log: silentLogger })
  const startedMs = performance.now()
  const running = follower.run(stop.signal)
  await follower.hasNews(stop.signal)
  const { view } = await follower.take()
  const listMs = performance.now() - startedMs
  const stretchMs = stretch()
  if (view.get('WorkloadEndpoint').size > 0) await collection()
  await delay(REST_MS)
  const [rssMb, peakMb] = [readMemoryMb('VmRSS'), readMemoryMb('VmHWM')]
  const changesMs: number[] = []
  for (let change = 0; change < changes; change += 1) changesMs.push(await changeOne(store, follower, change))
  process.send?.({ endpoints: view.get('WorkloadEndpoint').size, listMs, rssMb, peakMb, stretchMs, changesMs } satisfies Followed)
  stop.abort()
  await running
  store.close()
}

/** Resolves when V8 has collected the old space, or when that does not come. */
async function collection(): Promise<void> {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  const observer = new PerformanceObserver((list) => {
    const isMajor = list.getEntries().some((entry) => kindOf(entry) === constants.NODE_PERFORMANCE_GC_MAJOR)
    if (isMajor) resolve()
  })
  observer.observe({ entryTypes: ['gc'] })
  await Promise.race([promise, delay(MOST_REST_MS)])
  observer.disconnect()
}

/** Which collection an entry of `gc` tells of. */
function kindOf(entry: object): unknown {
  return 'detail' in entry && typeof entry.detail === 'object' && entry.detail !== null && 'kind' in entry.detail
    ? entry.detail.kind
    : undefined
}

/** Writes one endpoint and waits until the view has it. */
async function changeOne(store: ReturnType<typeof plainEtcd>, follower: Follower, change: number): Promise<number> {
  const { signal } = new AbortController()
  const endpoint = change * 37
  const startedMs = performance.now()
  const { revision } = await store.commit([], [{ put: endpointKey(endpoint), value: endpointText(endpoint, change + 1) }], signal)
  while (follower.view.revision < revision) {
    await follower.hasNews(signal)
    await follower.take()
  }
  return performance.now() - startedMs
}

/** Gives the longest time that passed between two turns of the event loop until it is called. */
function watchStretches(): () => number {
  let [lastMs, longestMs] = [performance.now(), 0]
  const turn = (): void => {
    const nowMs = performance.now()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    immediate = setImmediate(turn)
  }
  let immediate = setImmediate(turn)
  return () => {
    clearImmediate(immediate)
    return longestMs
  }
}

/** A figure of this process as proc(5) tells it. */
function readMemoryMb(name: 'VmRSS' | 'VmHWM'): number {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return Number(kilobytes) / 1024
}
