import type { Config } from '../config.ts'
import { openEtcd } from '../store/etcd.ts'
import type { Store } from '../store/store.ts'

/** The port on which the embedded etcd serves clients. */
const EMBEDDED_PORT = 23790

/** The etcd that the configuration names: the given endpoints, or the embedded one on this host. */
export function openStore({ etcd }: Config): Store {
  const { caFile, certFile, keyFile, username, passwordFile, embedded, endpoints } = etcd
  return openEtcd({
    endpoints: embedded ? [`http://127.0.0.1:${EMBEDDED_PORT}`] : endpoints,
    caFile,
    certFile,
    keyFile,
    username,
    passwordFile,
  })
}
