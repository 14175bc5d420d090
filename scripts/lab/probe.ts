import { join } from 'node:path'
import { type Place, run, start, tryRun, until } from './command.ts'

/** What became of a row of echo requests. */
export interface ProbeResult {
  readonly sent: number
  readonly received: number
  readonly lost: number
  /** The most requests without a reply in a row. */
  readonly longestRun: number
  /** Milliseconds from the first to the last reply. */
  readonly spanMs: number
}

/** Echo requests that are on their way. */
export interface Probe {
  /** Resolves when the first replies are there: what is lost from then on is lost by what happens then. */
  readonly running: Promise<void>
  /** Resolves when all are sent and answered, or a second after the last was sent. */
  readonly ended: Promise<ProbeResult>
  /** Sends no more; the last few, which may still be on their way, don't count. */
  stop(): void
}

/** What to send. */
export interface ProbeSpec {
  readonly to: string
  /** Goes on until it is stopped unless given. */
  readonly count?: number
  /** Seconds; 0.001 unless given. */
  readonly intervalS?: number
  /** Bytes of the whole IP packet, sent with DF where given. */
  readonly packetBytes?: number
}

/** Sends echo requests from a place, by default each millisecond; every single one is accounted for by its sequence number. */
export function startProbe(from: Place, spec: ProbeSpec): Probe {
  const header = spec.to.includes(':') ? 48 : 28
  const size = spec.packetBytes === undefined ? [] : ['-M', 'do', '-s', String(spec.packetBytes - header)]
  const count = spec.count === undefined ? [] : ['-c', String(spec.count)]
  const options = ['-n', '-D', '-i', String(spec.intervalS ?? 0.001), ...count, '-W', '1', ...size]
  const child = start(from, ['stdbuf', '-oL', 'ping', ...options, spec.to], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const running = new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk
      if (output.length > 500) resolve()
    })
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  let words = ''
  child.stderr?.on('data', (chunk) => {
    words += chunk
  })
  let isStopped = false
  const ended = new Promise<ProbeResult>((resolve, reject) => {
    child.once('close', () => {
      try {
        resolve(readPing(output, words, isStopped ? IN_FLIGHT : 0))
      } catch (error) {
        reject(error)
      }
    })
  })
  // Somebody who waits for it is told; without anybody the error that ended the rest is the one to see.
  ended.catch(() => undefined)
  const stop = () => {
    isStopped = true
    child.kill('SIGINT')
  }
  return { running, ended, stop }
}

/** ping ends at once when it is stopped: so many of the last requests may have had no time for their replies. */
const IN_FLIGHT = 20

/**
 * Reads what `ping -D` printed. A reply that came twice counts once; of the last requests so many need no reply. A ping that is stopped
 * before it hears signals prints no summary: then what was sent is known by the replies alone.
 */
export function readPing(output: string, words = '', inFlight = 0): ProbeResult {
  const transmitted = Number(/(\d+) packets transmitted/.exec(output)?.[1] ?? Number.NaN)
  const isCutShort = Number.isNaN(transmitted) && inFlight > 0 && output.startsWith('PING ')
  if (Number.isNaN(transmitted) && !isCutShort) throw new Error(`ping did not run: ${(words || output).trim()}`)
  const seen = new Set<number>()
  let [first, last, rounds, before, newest] = [0, 0, 0, 0, 0]
  for (const match of output.matchAll(/^\[(\d+\.\d+)\].*icmp_seq=(\d+) .*time=/gm)) {
    const [at, sequence] = [Number(match[1]), Number(match[2])]
    // Sequence numbers have 16 bits and begin again after 65,535.
    if (sequence < before - 0x8000) rounds += 1
    before = sequence
    newest = Math.max(newest, rounds * 0x10000 + sequence)
    seen.add(rounds * 0x10000 + sequence)
    first = first === 0 ? at : first
    last = at
  }
  const sent = Math.max(isCutShort ? 0 : transmitted - inFlight, newest)
  let [longestRun, run] = [0, 0]
  for (let sequence = 1; sequence <= sent; sequence += 1) {
    run = seen.has(sequence) ? 0 : run + 1
    longestRun = Math.max(longestRun, run)
  }
  return { sent, received: seen.size, lost: sent - seen.size, longestRun, spanMs: Math.round((last - first) * 1000) }
}

/** Whether one of a few echo requests is answered within a second. */
export async function isReachable(from: Place, to: string): Promise<boolean> {
  const { code } = await tryRun(from, ['ping', '-n', '-q', '-c', '3', '-i', '0.15', '-W', '1', '-w', '2', to])
  return code === 0
}

/** Sends one echo request each few milliseconds until one is answered; gives when (performance.now). */
export async function firstReply(from: Place, to: string, deadlineMs: number): Promise<number> {
  const child = start(from, ['stdbuf', '-oL', 'ping', '-n', '-i', '0.005', to], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    return await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no reply from ${to} within ${deadlineMs} ms`)), deadlineMs)
      child.once('error', reject)
      child.stdout?.on('data', (chunk) => {
        if (!String(chunk).includes('bytes from')) return
        clearTimeout(timer)
        resolve(performance.now())
      })
    })
  } finally {
    child.kill('SIGKILL')
  }
}

/** A TCP stream between two places, and the longest time in which nothing of it arrived. */
export interface Stream {
  /** Ends the stream; gives the longest gap between two arrivals and how much arrived. */
  end(): Promise<{ readonly longestStallMs: number; readonly bytes: number }>
}

/** Starts a TCP stream of about 8 MB/s that writes every 2 ms. */
export async function startStream(from: Place, to: Place, address: string): Promise<Stream> {
  const program = join(process.cwd(), 'scripts/lab/stream.mjs')
  const receiver = start(to, [process.execPath, program, 'receive'], { stdio: ['pipe', 'pipe', 'inherit'] })
  let report = ''
  receiver.stdout?.on('data', (chunk) => {
    report += chunk
  })
  await until({ what: 'the receiver of the stream' }, () => (report.includes('listening') ? true : undefined))
  const sender = start(from, [process.execPath, program, 'send', address], { stdio: ['ignore', 'ignore', 'inherit'] })
  await until({ what: `a stream to ${address}` }, () => (report.includes('flowing') ? true : undefined))
  return {
    end: async () => {
      const ended = new Promise<void>((resolve) => receiver.once('close', () => resolve()))
      // Without its input the receiver reports and ends; a stall that still lasts is counted.
      receiver.stdin?.end()
      await ended
      sender.kill('SIGKILL')
      return JSON.parse(report.trim().split('\n').at(-1) ?? '') as { longestStallMs: number; bytes: number }
    },
  }
}

/** One reading of a program's resident memory (bytes) and of the processor time it has used (milliseconds). */
export async function readUsage(pid: number): Promise<{ readonly rssBytes: number; readonly cpuMs: number }> {
  const text = await run({ enter: [] }, ['cat', `/proc/${pid}/status`, `/proc/${pid}/stat`])
  const rss = Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024
  const stat = text.trimEnd().split('\n').at(-1) ?? ''
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Clock ticks are 10 ms on every architecture that margay runs on (sysconf(_SC_CLK_TCK) is 100).
  return { rssBytes: rss, cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 }
}
