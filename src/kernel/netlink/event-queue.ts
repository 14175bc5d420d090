import { APPLY_ORDER } from '../objects.ts'
import type { KernelEvent } from '../table.ts'

/** More than this waiting means that listing all is cheaper than reading them. */
const MAX_WAITING = 20_000

/** Events between those who find them and the one who reads them; bounded. */
export class EventQueue {
  private waiting: KernelEvent[] = []
  private wake: (() => void) | undefined
  private isClosed = false

  /** Adds an event; readers are woken by `flush`, so that a burst is one wake-up. */
  push(event: KernelEvent): void {
    if (event.type !== 'changed' && this.waiting.some((other) => isSameEvent(other, event))) return
    this.waiting.push(event)
    if (this.waiting.length <= MAX_WAITING) return
    this.waiting = [...APPLY_ORDER.map((table) => ({ type: 'stale', table }) as const), { type: 'interfaces' }]
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
        for (const event of this.waiting.splice(0)) yield event
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}

function isSameEvent(a: KernelEvent, b: KernelEvent): boolean {
  return a.type === b.type && (a.type !== 'stale' || (b.type === 'stale' && a.table === b.table))
}
