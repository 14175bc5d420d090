import type { Command } from 'commander'
import { createIpam, type Ipam } from '../ipam/ipam.ts'
import { silentLogger } from '../log.ts'
import type { Store } from '../store/store.ts'
import type { Context } from './context.ts'
import { storeConfigFor } from './options.ts'

/** An open etcd with what works on it, for the time of one command. */
export interface Session {
  readonly store: Store
  readonly ipam: Ipam
}

/** Opens the etcd that the command's configuration names, does something with it, and closes it whatever happens. */
export async function withSession<T>(command: Command, context: Context, act: (session: Session) => Promise<T>): Promise<T> {
  const config = storeConfigFor(command, context)
  const store = await context.openStore(config)
  try {
    return await act({ store, ipam: createIpam({ store, node: config.node.name, log: silentLogger, now: context.now }) })
  } finally {
    store.close()
  }
}
