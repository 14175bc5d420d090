import { encodeResource } from '../src/model/codec.ts'
import { resourceKey } from '../src/model/keys.ts'
import { prepareCreate } from '../src/model/prepare.ts'
import { API_VERSION } from '../src/model/resource.ts'
import type { WorkloadEndpoint } from '../src/model/workload-endpoint.ts'
import { parseInterfaceAddress } from '../src/net/cidr.ts'
import { parseMac } from '../src/net/mac.ts'
import type { Store } from '../src/store/store.ts'

/** etcd takes 128 operations in one transaction. */
const BATCH = 128
const NOW = new Date('2026-11-21T10:11:12Z')

/** Writes so many workload endpoints, of 100 hosts and 50 namespaces. */
export async function loadEndpoints(store: Store, count: number): Promise<void> {
  const { signal } = new AbortController()
  for (let start = 0; start < count; start += BATCH) {
    const writes = Array.from({ length: Math.min(BATCH, count - start) }, (_, i) => ({
      put: endpointKey(start + i),
      value: endpointText(start + i, 0),
    }))
    await store.commit([], writes, signal)
  }
}

/** The key of an endpoint. */
export function endpointKey(index: number): string {
  const { metadata } = endpointOf(index, 0)
  return resourceKey('WorkloadEndpoint', metadata.name, metadata.namespace)
}

/** An endpoint as it is stored; of another version, with another label. */
export function endpointText(index: number, version: number): string {
  return encodeResource(endpointOf(index, version))
}

function endpointOf(index: number, version: number): WorkloadEndpoint {
  const spec = {
    ...{ orchestrator: 'margay', workload: `w-${index}`, node: `host-${index % 100}`, endpoint: 'eth0' },
    ipNetworks: [
      `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
      `fd65::${index >> 16 === 0 ? '' : `${(index >> 16).toString(16)}:`}${(index & 0xffff).toString(16)}`,
    ].map(parseInterfaceAddress),
    profiles: [`kns.team-${index % 50}`],
    interfaceName: `mgy${index.toString(16).padStart(11, '0')}`,
    mac: parseMac(`ee:ee:00:${[16, 8, 0].map((bits) => ((index >> bits) & 255).toString(16).padStart(2, '0')).join(':')}`),
    ports: [{ name: 'http', protocol: 'TCP' as const, port: 8080 }],
  }
  const labels = { app: `app-${index % 200}`, role: index % 3 === 0 ? 'db' : 'web', 'example.org/version': `v${version}` }
  const metadata = { name: '', namespace: `team-${index % 50}`, labels }
  const uid = `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`
  return prepareCreate({ apiVersion: API_VERSION, kind: 'WorkloadEndpoint', metadata, spec }, NOW, uid)
}
