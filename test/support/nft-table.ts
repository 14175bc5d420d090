import { NftablesTable } from '../../src/kernel/nftables/table.ts'
import { silentLogger } from '../../src/log.ts'
import { createNamespace, type Namespace } from './nft-lab.ts'

let labels = 0

/** Works with the table of a fresh network namespace, which is gone afterwards. */
export async function withTable(work: (table: NftablesTable, namespace: Namespace) => Promise<void>): Promise<void> {
  const namespace = createNamespace(`nft${labels++}`)
  const table = new NftablesTable({ netns: namespace.path, log: silentLogger })
  try {
    await work(table, namespace)
  } finally {
    table.close()
    namespace.remove()
  }
}
