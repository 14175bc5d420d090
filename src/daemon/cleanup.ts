import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { describeError } from '../errors.ts'
import { removePinFolder, unpinNetns } from '../kernel/netns.ts'
import type { NftablesTable } from '../kernel/nftables/table.ts'
import { emptyTables } from '../kernel/objects.ts'
import type { Kernel } from '../kernel/table.ts'
import type { Logger } from '../log.ts'
import { Reconciler } from '../reconcile/reconciler.ts'
import { bootRulesPath } from './boot-rules.ts'

/**
 * Takes everything of ours out of the kernel of this host, the pins of network namespaces, and the rules that the next boot would put
 * there again: `margayd --cleanup`.
 * Kernel parameters stay as they are, records in etcd too, and where workloads came from: a daemon that is started again attaches
 * them. Gives what could not be removed.
 */
export async function cleanUp(
  kernel: Kernel,
  policy: NftablesTable,
  config: Config,
  log: Logger,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const reconciler = new Reconciler(kernel.tables, () => performance.now())
  const { removed } = await reconciler.pass(emptyTables(), signal)
  await policy.cleanup()
  const pins = join(config.paths.run, 'netns')
  for (const name of existsSync(pins) ? readdirSync(pins) : []) unpinNetns(join(pins, name))
  removePinFolder(pins)
  rmSync(bootRulesPath(config.paths.state), { force: true })
  log.info({ count: removed }, 'kernel cleaned up')
  return reconciler.failures().map(({ table, key, error }) => `${table} ${key}: ${describeError(error)}`)
}
