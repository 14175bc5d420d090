import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../config.ts'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import { clientEndpoints } from '../store/embedded.ts'
import type { Store } from '../store/store.ts'
import type { Context } from './context.ts'
import { dryRunStore } from './dry-run.ts'
import { notingStore } from './noting-store.ts'
import { type StoreAccess, storeAccessFor } from './options.ts'

/** An open etcd with what works on it, for the time of one command. */
export interface Session {
  readonly store: Store
  readonly ipam: Ipam
}

/** A session that remembers what was written in it. */
export interface NotedSession extends Session {
  /** Where etcd is. */
  readonly endpoints: readonly string[]
  /** Of the last resource that was written; 0 when none was. */
  readonly lastRevision: () => number
}

/**
 * Opens the etcd that the command's configuration names, does something with it, and closes it whatever happens.
 * With `--dry-run` nothing is written: what would be is seen by the reads that follow only.
 */
export async function withSession<T>(command: Command, context: Context, act: (session: NotedSession) => Promise<T>): Promise<T> {
  const access = storeAccessFor(command, context)
  const folder = Object.keys(access.secrets).length > 0 ? mkdtempSync(join(tmpdir(), 'margay-')) : undefined
  try {
    const config = folder === undefined ? access.config : withSecretFiles(access, folder)
    const opened = await context.openStore(config)
    const { store, lastRevision } = notingStore(command.getOptionValue('dryRun') === true ? dryRunStore(opened) : opened)
    try {
      const ipam = createIpam({ store, node: config.node.name, log: silentLogger, now: context.now })
      return await act({ store, ipam, lastRevision, endpoints: clientEndpoints(config) })
    } finally {
      store.close()
    }
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

/** Keys and passwords that stand in Calico's configuration itself, as the files that the client of etcd reads; the folder is private. */
function withSecretFiles({ config, secrets }: StoreAccess, folder: string): Config {
  const files = Object.entries(secrets).map(([key, content]) => {
    const file = join(folder, key)
    writeFileSync(file, content, { mode: 0o600 })
    return [key, file] as const
  })
  return { ...config, etcd: { ...config.etcd, ...Object.fromEntries(files) } }
}
