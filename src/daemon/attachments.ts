import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describeError } from '../errors.ts'
import { isNetns, pinNetns, sameNetns, unpinNetns } from '../kernel/netns.ts'
import type { Logger } from '../log.ts'
import { writeStateFile } from './state-file.ts'

/** How a workload's network namespace was given: under a path that may stand again after a reboot, or by a process that won't. */
export type NetnsSource = { readonly path: string } | { readonly pid: number; readonly startTime: string }

interface Attachment {
  readonly endpoint: string
  readonly source: NetnsSource
}

/**
 * Where the network namespaces of this host's workloads are: this host's business, never in etcd. Each is bind-mounted under
 * `<run>/netns`, which lives until the reboot, and the way it was given is kept under `<state>/netns`, which outlives it.
 */
export class Attachments {
  readonly #stateFolder: string
  readonly #runFolder: string
  readonly #log: Logger
  readonly #known = new Map<string, Attachment>()
  #pins: ReadonlyMap<string, string> = new Map()

  constructor(stateFolder: string, runFolder: string, log: Logger) {
    this.#stateFolder = join(stateFolder, 'netns')
    this.#runFolder = join(runFolder, 'netns')
    this.#log = log
    mkdirSync(this.#stateFolder, { recursive: true, mode: 0o700 })
    // Each with its own mode: the folder above holds the API's socket and is not for everybody.
    mkdirSync(runFolder, { recursive: true, mode: 0o750 })
    mkdirSync(this.#runFolder, { recursive: true, mode: 0o755 })
    this.#load()
    this.refresh()
  }

  /** Where each endpoint's namespace is pinned, by endpoint; the same map object while nothing changed. */
  get pins(): ReadonlyMap<string, string> {
    return this.#pins
  }

  /** Looks which pins stand, and pins what stands again at its path, as after a reboot. True when something changed. */
  refresh(): boolean {
    const standing = [...this.#known].flatMap(([endpoint, { source }]) => (this.#isPinned(endpoint, source) ? [endpoint] : []))
    const isSame = standing.length === this.#pins.size && standing.every((endpoint) => this.#pins.has(endpoint))
    if (!isSame) this.#pins = new Map(standing.map((endpoint) => [endpoint, this.#pinOf(endpoint)]))
    return !isSame
  }

  /** How the endpoint's namespace was given. */
  sourceOf(endpoint: string): NetnsSource | undefined {
    return this.#known.get(endpoint)?.source
  }

  /** The endpoints that were attached here. */
  endpoints(): Iterable<string> {
    return this.#known.keys()
  }

  /** Why the endpoint's namespace is not what it was; undefined when all is well. */
  problemOf(endpoint: string): string | undefined {
    const source = this.sourceOf(endpoint)
    if (source === undefined) return undefined
    const name = 'path' in source ? source.path : `process ${source.pid}`
    if (this.#pins.has(endpoint)) return undefined
    return `its network namespace is gone: nothing stands at ${name}`
  }

  /** Remembers and pins a namespace. Once done for the same one, it does nothing. Throws KernelError when there is none. */
  attach(endpoint: string, given: { readonly path: string } | { readonly pid: number }): string {
    const source: NetnsSource = 'pid' in given ? { pid: given.pid, startTime: startTimeOf(given.pid) ?? '' } : given
    const pin = this.#pinOf(endpoint)
    const before = this.#known.get(endpoint)
    // Noted first: a pin that nothing tells of would keep its namespace alive for ever.
    this.#note({ endpoint, source })
    try {
      pinNetns('pid' in source ? source.pid : source.path, pin)
    } catch (error) {
      if (before === undefined) this.detach(endpoint)
      else this.#note(before)
      throw error
    }
    this.#pins = new Map([...this.#pins, [endpoint, pin]])
    return pin
  }

  /** Another endpoint that holds the namespace of this path or process. */
  holderOf(given: { readonly path: string } | { readonly pid: number }): string | undefined {
    const path = 'pid' in given ? `/proc/${given.pid}/ns/net` : given.path
    return [...this.#known.keys()].find((endpoint) => sameNetns(this.#pinOf(endpoint), path))
  }

  detach(endpoint: string): void {
    unpinNetns(this.#pinOf(endpoint))
    rmSync(this.#fileOf(endpoint), { force: true })
    this.#known.delete(endpoint)
    this.#pins = new Map([...this.#pins].filter(([other]) => other !== endpoint))
  }

  #note(attachment: Attachment): void {
    writeStateFile(this.#fileOf(attachment.endpoint), `${JSON.stringify(attachment)}\n`)
    this.#known.set(attachment.endpoint, attachment)
  }

  /** Whether the endpoint's pin stands, now that it was set again where its namespace stands again. */
  #isPinned(endpoint: string, source: NetnsSource): boolean {
    if (isNetns(this.#pinOf(endpoint))) return true
    if (!stands(source)) return false
    const path = 'path' in source ? source.path : `/proc/${source.pid}/ns/net`
    try {
      pinNetns('path' in source ? source.path : source.pid, this.#pinOf(endpoint))
      this.#log.info({ endpoint, path }, 'network namespace attached again')
    } catch (error) {
      this.#log.warn({ endpoint, path, reason: describeError(error) }, 'network namespace could not be attached again')
    }
    return isNetns(this.#pinOf(endpoint))
  }

  #load(): void {
    for (const name of readdirSync(this.#stateFolder)) {
      if (!name.endsWith('.json')) continue
      try {
        const attachment = JSON.parse(readFileSync(join(this.#stateFolder, name), 'utf8')) as Attachment
        if (typeof attachment.endpoint === 'string' && typeof attachment.source === 'object')
          this.#known.set(attachment.endpoint, attachment)
      } catch (error) {
        this.#log.warn(
          { path: join(this.#stateFolder, name), reason: describeError(error) },
          'note of a network namespace could not be read',
        )
      }
    }
  }

  #pinOf(endpoint: string): string {
    return join(this.#runFolder, fileNameOf(endpoint))
  }

  #fileOf(endpoint: string): string {
    return join(this.#stateFolder, `${fileNameOf(endpoint)}.json`)
  }
}

/** `<namespace>/<name>` as a file name; a long one is cut and told apart by its hash (a name may have 255 bytes). */
function fileNameOf(endpoint: string): string {
  const plain = endpoint.replace('/', '_')
  if (plain.length <= 200) return plain
  return `${plain.slice(0, 180)}-${createHash('sha256').update(endpoint).digest('hex').slice(0, 16)}`
}

function stands(source: NetnsSource): boolean {
  if ('path' in source) return isNetns(source.path)
  // A process id is used again: it is the same process only if it began at the same time.
  return startTimeOf(source.pid) === source.startTime && source.startTime !== ''
}

/** When a process began, in clock ticks since boot (proc(5), /proc/pid/stat field 22), with the boot's id. Undefined when there is none. */
function startTimeOf(pid: number): string | undefined {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return undefined
  const text = readFileSync(file, 'utf8')
  const ticks = text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${ticks}`
}
