import { APPLY_ORDER } from '../objects.ts'
import type { KernelEvent } from '../table.ts'

/** More than this waiting means that listing all is cheaper than reading them. */
const MAX_WAITING = 20_000

/** Events between those who find them and the one who reads them; bounded. */
export class EventQueue {
  private waiting: KernelEvent[] = []
  /** Events without a value that wait: one of each is enough. */
  private readonly marks = new Set<string>()
  private wake: (() => void) | undefined
  private isClosed = false

  /** Adds an event; readers are woken by `flush`, so that a burst is one wake-up. */
  push(event: KernelEvent): void {
    const mark = markOf(event)
    if (mark !== undefined && this.marks.has(mark)) return
    if (mark !== undefined) this.marks.add(mark)
    this.waiting.push(event)
    if (this.waiting.length > MAX_WAITING) this.distrustAll()
  }

  flush(): void {
    if (this.waiting.length > 0) this.wake?.()
  }

  close(): void {
    this.isClosed = true
    this.wake?.()
  }

  /** Yields events, those that wait already first, until aborted or closed. For one reader. */
  async *read(signal: AbortSignal): AsyncGenerator<KernelEvent> {
    const onAbort = () => this.wake?.()
    signal.addEventListener('abort', onAbort)
    try {
      while (!signal.aborted && !this.isClosed) {
        if (this.waiting.length === 0) {
          await new Promise<void>((resolve) => {
            this.wake = resolve
          })
          continue
        }
        const event = this.waiting.shift()
        if (event === undefined) continue
        const mark = markOf(event)
        if (mark !== undefined) this.marks.delete(mark)
        yield event
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** So much happened that listing everything is the shorter way. */
  private distrustAll(): void {
    this.waiting = []
    this.marks.clear()
    for (const table of APPLY_ORDER) this.push({ type: 'stale', table })
    this.push({ type: 'interfaces' })
  }
}

function markOf(event: KernelEvent): string | undefined {
  if (event.type === 'changed') return undefined
  return event.type === 'stale' ? event.table : event.type
}
