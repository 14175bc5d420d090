import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { delimiter, dirname } from 'node:path'

/** How a program ended: `code` is the exit code, or -1 where a signal or the deadline ended it. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** How to run a program. */
export interface RunOptions {
  readonly input?: string
  /** The program is killed after this time; 30 s unless given. */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
}

/** A place in which programs run: the arguments that lead into it (nsenter(1)), empty for the machine itself. */
export interface Place {
  readonly enter: readonly string[]
}

/** The machine, outside of every lab. */
export const MACHINE: Place = { enter: [] }

/** The environment for programs of the lab: the system's folders are in PATH, and no setting for margay comes in from outside. */
export function labEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith('MARGAY_') && name !== 'NOTIFY_SOCKET') env[name] = value
  }
  const folders = [env['PATH'] ?? '', dirname(process.execPath), '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  return { ...env, PATH: folders.filter((folder) => folder !== '').join(delimiter), ...extra }
}

/** Runs a program there to its end, whatever that is. */
export function tryRun(place: Place, argv: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = start(place, argv, { stdio: ['pipe', 'pipe', 'pipe'], env: labEnv(options.env) })
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 30_000)
    child.on('error', reject)
    // A program that ends without reading its input breaks the pipe; its exit code says all there is to say.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? -1, stdout, stderr })
    })
  })
}

/** Runs a program there and gives its standard output; throws with its words if it fails. */
export async function run(place: Place, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await tryRun(place, argv, options)
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${(stderr || stdout).trim()}`)
  return stdout
}

/** Starts a program there and leaves it running. */
export function start(place: Place, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const [command = 'true', ...args] = [...place.enter, ...argv]
  return spawn(command, args, { stdio: 'ignore', env: labEnv(), ...options })
}

/** Ends a program and waits until it has ended; after the deadline with SIGKILL. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 10_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
  await ended
  clearTimeout(timer)
}

/** What to wait for and how long. */
export interface Wait {
  readonly what: string
  readonly deadlineMs?: number
  readonly everyMs?: number
}

/** Asks again and again until the answer is not undefined; throws after the deadline (10 s unless given), with the last error. */
export async function until<T>(wait: Wait, ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + (wait.deadlineMs ?? 10_000)
  let cause: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined) return answer
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() > deadline) throw new Error(`waited ${wait.deadlineMs ?? 10_000} ms for ${wait.what}`, { cause })
    await new Promise((resolve) => setTimeout(resolve, wait.everyMs ?? 20))
  }
}
