/** The messages to the service manager (sd_notify(3)); `send` gives one datagram, and is undefined where nobody listens. */
export class Notifier {
  readonly #send: ((text: string) => void) | undefined
  /** The status that was last told: it is not told again with each pass. */
  #told: string | undefined
  /** How often the watchdog must be fed, in milliseconds; undefined when the service manager does not watch. */
  readonly watchdogMs: number | undefined

  constructor(send: ((text: string) => void) | undefined, watchdogUsec: string | undefined) {
    this.#send = send
    const usec = Number(watchdogUsec)
    this.watchdogMs = send !== undefined && Number.isInteger(usec) && usec > 0 ? usec / 1000 : undefined
  }

  /** What we know is applied and the sockets answer. Not "etcd is in sync": Docker must be able to boot without it. */
  ready(status: string): void {
    this.#told = status
    this.#send?.(`READY=1\nSTATUS=${oneLine(status)}`)
  }

  status(text: string): void {
    if (text === this.#told) return
    this.#told = text
    this.#send?.(`STATUS=${oneLine(text)}`)
  }

  /** Told before the configuration is read again; `ready` ends it (sd_notify(3), Type=notify-reload). */
  reloading(monotonicUsec: bigint): void {
    this.#send?.(`RELOADING=1\nMONOTONIC_USEC=${monotonicUsec}`)
  }

  stopping(): void {
    this.#send?.('STOPPING=1')
  }

  /** Feeds the watchdog. */
  alive(): void {
    this.#send?.('WATCHDOG=1')
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ')
}
