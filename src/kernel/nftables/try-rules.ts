import type { KernelError } from '../../errors.ts'
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/message.ts'
import { failureError, NETLINK_NETFILTER, NetlinkSocket } from '../netlink/socket.ts'
import type { NftRule } from '../objects.ts'
import { NftBatch } from './batch.ts'
import { encodeRule } from './expressions.ts'
import * as nft from './protocol.ts'

const TABLE = 'margay-trial'
const CHAIN = 'rules'
const NESTED = 0x8000

/**
 * Why this kernel does not take such rules; undefined if it does. Nothing is changed: the kernel is shown a transaction that never ends.
 * The rules refer to no set, chain or counter.
 */
export function tryRules(
  rules: readonly NftRule[],
  options: { readonly netns?: string | number | undefined } = {},
): KernelError | undefined {
  const socket = new NetlinkSocket(NETLINK_NETFILTER, { netns: options.netns })
  try {
    const batch = new NftBatch(() => socket.nextSequence(), 0)
    batch.add('', nft.MESSAGE.newTable, NLM_F_CREATE, (writer) => writer.text(nft.TABLE.name, TABLE))
    batch.add('', nft.MESSAGE.newChain, NLM_F_CREATE, (writer) => {
      writer.text(nft.CHAIN.table, TABLE)
      writer.text(nft.CHAIN.name, CHAIN)
    })
    for (const rule of rules) {
      batch.add('', nft.MESSAGE.newRule, NLM_F_CREATE | NLM_F_APPEND, (writer) => {
        writer.text(nft.RULE.table, TABLE)
        writer.text(nft.RULE.chain, CHAIN)
        writer.bytesOf(nft.RULE.expressions | NESTED, encodeRule(rule))
      })
    }
    const [failure] = socket.request(batch.unfinished()).failures
    return failure && failureError('use a rule of this kind', failure)
  } finally {
    socket.close()
  }
}
