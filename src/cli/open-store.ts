import type { Config } from '../config.ts'
import { clientEndpoints } from '../store/embedded.ts'
import { openEtcd } from '../store/etcd.ts'
import type { Store } from '../store/store.ts'

/** The etcd that the configuration names: the given endpoints, or the embedded one on this host. */
export function openStore(config: Config): Store {
  const { caFile, certFile, keyFile, username, passwordFile } = config.etcd
  return openEtcd({ endpoints: clientEndpoints(config), caFile, certFile, keyFile, username, passwordFile })
}
