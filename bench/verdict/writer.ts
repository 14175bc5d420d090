import { once } from 'node:events'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import type { Store, Write } from '../../src/store/store.ts'

/** Writes to the store on a thread of its own: who sends packets and looks for them must not delay what is measured. */
export interface Writer {
  /** Begins to write; the times are milliseconds of `process.hrtime`. */
  begin(write: Write): { readonly begunMs: number }
  /** When the store had answered. */
  end(): Promise<{ readonly answeredMs: number }>
  close(): Promise<void>
}

/** Starts the thread, which is this program's own `client` with the task `write`. */
export function openWriter(program: string, endpoint: string): Writer {
  const worker = new Worker(program, { argv: ['client', JSON.stringify({ do: 'write', endpoint })], workerData: { isWriter: true } })
  return {
    begin: (write) => {
      const begunMs = nowMs()
      worker.postMessage(write)
      return { begunMs }
    },
    end: async () => ({ answeredMs: (await once(worker, 'message'))[0] as number }),
    close: async () => {
      worker.postMessage(undefined)
      await once(worker, 'exit')
    },
  }
}

/** What the thread does: writes what it is told, one after the other, until it is told nothing. */
export async function serveWriter(store: Store): Promise<void> {
  if (parentPort === null || workerData?.isWriter !== true) throw new Error('this is no thread of a bench')
  for (;;) {
    const [write] = (await once(parentPort, 'message')) as [Write | undefined]
    if (write === undefined) return
    await store.commit([], [write], never)
    parentPort.postMessage(nowMs())
  }
}

const never = new AbortController().signal

/** The same clock in all threads of a process. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
