import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describeError } from '../errors.ts'
import { type ForeignRuleset, readForeignRules, readTables } from '../questions/foreign-ruleset.ts'
import { fillFromText, needsText } from '../questions/foreign-targets.ts'

const PROGRAMS = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/usr/local/sbin/nft']
/** One run of nft may take so long. Milliseconds. */
const MOST_MS = 3000
/** What one run may print. Bytes. */
const MOST_BYTES = 32 << 20
/** What was read counts so long. Milliseconds. */
const KEPT_MS = 60_000
const OURS = 'margay'

/** What was read of other programs' rules. */
export interface ForeignLook {
  readonly ruleset: ForeignRuleset
  /** What could not be looked at, in words. */
  readonly problems: readonly string[]
  /** There is no nft to ask. */
  readonly isBlind: boolean
}

/**
 * Reads the rules of other programs, when somebody asks, with the `nft` of the host, where it has one: it knows what each of them writes.
 * Sets are not listed, and our own table is not asked for.
 */
export class ForeignRules {
  #kept: { readonly look: Promise<ForeignLook>; readonly atMs: number } | undefined

  /** The rules as they are now, or were a minute ago at most. */
  read(isFresh = false): Promise<ForeignLook> {
    const nowMs = performance.now()
    if (!isFresh && this.#kept !== undefined && nowMs - this.#kept.atMs < KEPT_MS) return this.#kept.look
    const look = lookAtForeignRules()
    this.#kept = { look, atMs: nowMs }
    return look
  }
}

/** The rules as they are now. */
export async function lookAtForeignRules(): Promise<ForeignLook> {
  const problems = legacyTables()
  const nft = PROGRAMS.find((path) => existsSync(path))
  if (nft === undefined) return { ruleset: readForeignRules([]), problems, isBlind: true }
  try {
    const tables = readTables(await ask(nft, ['list', 'tables'])).filter(({ name }) => name !== OURS)
    const read: ForeignRuleset[] = []
    for (const { family, name } of tables) {
      const ruleset = readForeignRules([await ask(nft, ['-t', 'list', 'table', family, name])])
      const place = ['-a', '-t', 'list', 'table', family, name]
      read.push(needsText(ruleset) ? fillFromText(ruleset, await print(nft, place), { family, table: name }) : ruleset)
    }
    return {
      ruleset: { chains: read.flatMap(({ chains }) => chains), rules: read.flatMap(({ rules }) => rules) },
      problems,
      isBlind: false,
    }
  } catch (error) {
    return {
      ruleset: readForeignRules([]),
      problems: [...problems, `rules of other programs can not be looked at: ${describeError(error)}`],
      isBlind: false,
    }
  }
}

async function ask(nft: string, words: readonly string[]): Promise<unknown> {
  return JSON.parse(await print(nft, ['-j', ...words]))
}

async function print(nft: string, words: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(nft, words, { timeout: MOST_MS, maxBuffer: MOST_BYTES })
  return stdout
}

/** Tables of the kernel's older packet filter, which nft does not see. */
function legacyTables(): readonly string[] {
  const families = [
    ['/proc/self/net/ip_tables_names', 'iptables-legacy'],
    ['/proc/self/net/ip6_tables_names', 'ip6tables-legacy'],
  ] as const
  return families.flatMap(([file, program]) => {
    const names = readNames(file)
    return names.length === 0
      ? []
      : [`${program} has the tables ${names.join(', ')}, whose rules are not looked at: ${program} -S shows them`]
  })
}

function readNames(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((name) => name !== '')
  } catch {
    return []
  }
}
