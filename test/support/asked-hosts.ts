import type { ListConnections } from '../../src/daemon/answer-flows.ts'
import { answerFlows } from '../../src/daemon/answer-flows.ts'
import { Answers } from '../../src/daemon/answers.ts'
import { AskedHost } from '../../src/daemon/asked-host.ts'
import type { Connection } from '../../src/kernel/conntrack/connection.ts'
import { silentLogger } from '../../src/log.ts'
import { liveKey } from '../../src/model/keys.ts'
import { familyOf, parseIp } from '../../src/net/ip.ts'
import type { Revocation } from '../../src/questions/tolerated.ts'
import { Follower } from '../../src/store/follower.ts'
import type { MemoryStore } from '../../src/store/memory.ts'
import { aLiveRecord, anInterface } from './daemon.ts'

/** A host that answers questions, without the rest of a daemon. */
export interface AskedSpec {
  readonly node: string
  /** With the prefix length. */
  readonly uplink: readonly string[]
  /** The interfaces by which addresses are reached; all others by eth0. */
  readonly links?: Readonly<Record<string, string>>
  readonly connections?: readonly Connection[]
  /** Whether it ends connections; it does unless this says otherwise. */
  readonly revocation?: Revocation
}

/** Starts hosts that follow the store and answer; gives what ends them. */
export async function startAsked(store: MemoryStore, specs: readonly AskedSpec[]): Promise<() => Promise<void>> {
  const stop = new AbortController()
  const work = specs.map(({ node, uplink, links = {}, connections = [], revocation }) => {
    const connection = store.another()
    const follower = new Follower(connection, { log: silentLogger, onConnection: () => {} })
    const interfaces = [anInterface('lo', ['127.0.0.1/8', '::1/128']), anInterface('eth0', uplink)]
    const asked = new AskedHost({
      node,
      kernel: { routeTo: async (ip) => ({ source: '', link: links[ip] ?? 'eth0' }), interfaces: async () => interfaces },
      view: () => follower.view,
      facts: () => undefined,
      ...(revocation && { revocation: () => revocation }),
    })
    const list: ListConnections = async () => connections
    const responders = { flows: (body: unknown, signal: AbortSignal) => answerFlows(asked, list, body, signal) }
    const answers = new Answers({ store: connection, node, log: silentLogger, failures: () => ({ own: [], others: 0 }), responders })
    const following = (async () => {
      while (!stop.signal.aborted && (await follower.hasNews(stop.signal))) {
        const { view } = await follower.take()
        answers.note(view.revision)
      }
    })()
    return Promise.all([follower.run(stop.signal), following, answers.run(stop.signal)])
  })
  const never = new AbortController().signal
  for (const { node } of specs) {
    await store.commit([], [{ put: liveKey(node), value: JSON.stringify(aLiveRecord({ node })) }], never)
  }
  return async () => {
    stop.abort()
    await Promise.all(work)
  }
}

/** A tracked TCP connection of which both directions were seen: `10.65.0.9:40000 > 10.65.0.70:80`. */
export function aConnection(text: string): Connection {
  const [source, destination] = text.split(' > ').map((end) => {
    const at = end.lastIndexOf(':')
    return { address: parseIp(end.slice(0, at)), port: Number(end.slice(at + 1)) }
  })
  if (source === undefined || destination === undefined) throw new Error(`no connection: ${text}`)
  const tuple = (from: typeof source, to: typeof source) => ({
    ...{ source: from.address, destination: to.address, protocol: 6, sourcePort: from.port, destinationPort: to.port },
  })
  const ends = { original: tuple(source, destination), reply: tuple(destination, source) }
  return { family: familyOf(source.address), ...ends, status: 2, mark: 0, zone: 0, id: 1 }
}
