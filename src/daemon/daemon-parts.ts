import type { Config } from '../config.ts'
import type { Connection } from '../kernel/conntrack/connection.ts'
import { Conntrack } from '../kernel/conntrack/conntrack.ts'
import type { FlowLine } from '../model/own/flows.ts'
import type { LiveRecord } from '../model/own/live.ts'
import { instanceId } from './identity.ts'
import { VERSION } from './version.ts'

/** Over a socket of its own: a list owns it until it is read. */
export async function listConnections(signal: AbortSignal): Promise<readonly Connection[]> {
  const conntrack = new Conntrack()
  try {
    return await conntrack.list(signal)
  } finally {
    conntrack.close()
  }
}

/** What this daemon says of itself, before anything is known. */
export function liveRecord(config: Config): LiveRecord {
  const instance = instanceId(config.paths.state)
  return { node: config.node.name, instance, version: VERSION, startedAt: new Date().toISOString(), addresses: [], receives: {} }
}

/** Each as a line of JSON. */
export async function* asLines(events: AsyncIterable<FlowLine> | Iterable<FlowLine>): AsyncGenerator<string> {
  for await (const event of events) yield JSON.stringify(event)
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
