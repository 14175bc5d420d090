import { pino } from 'pino'

/** The names that facts may have in log lines, so that they can be searched across all of margay. */
export interface LogFields {
  readonly peer?: string
  readonly cidr?: string
  readonly nextHop?: string
  readonly link?: string
  readonly table?: string
  readonly key?: string
  readonly endpoint?: string
  readonly policy?: string
  readonly node?: string
  readonly address?: string
  readonly revision?: number
  readonly count?: number
  readonly ms?: number
  readonly path?: string
  readonly reason?: string
  readonly err?: unknown
}

/** Log levels, least severe first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Writes one line: a fixed lower-case phrase, facts in fields. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

/** JSON lines on standard error, of its `level` and above, which may be set anew; each with the journal's priority prefix (sd-daemon(3)) when it writes to the journal. */
export function createLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => process.stderr.write(line),
): Logger & { level: string } {
  const stream = prefixedStream(write, process.env.JOURNAL_STREAM !== undefined)
  return pino({ level, base: null, timestamp: process.env.JOURNAL_STREAM === undefined ? pino.stdTimeFunctions.isoTime : false }, stream)
}

/** A logger that writes nothing, for tests and one-shot commands. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }

const PRIORITIES: Readonly<Record<number, string>> = { 10: '<7>', 20: '<7>', 30: '<6>', 40: '<4>', 50: '<3>', 60: '<2>' }

/** A destination for pino, which sets `lastLevel` before each write where a stream carries its metadata symbol. */
function prefixedStream(write: (line: string) => void, isJournal: boolean) {
  return {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string): void {
      write(isJournal ? `${PRIORITIES[this.lastLevel] ?? ''}${line}` : line)
    },
  }
}
