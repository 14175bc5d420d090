import { type Family, isIp } from '../net/ip.ts'
import type { Wrong } from './file.ts'
import { type Settings, settingAt } from './schema.ts'
import { holdsBlock } from './values.ts'

/** One impossible combination: the keys that take part (the first is blamed) and what would be right. */
interface Clash {
  readonly keys: readonly string[]
  readonly message: string
}

/**
 * Combinations that cannot work, each with the sources of the values that take part. Those that a fault found before may have
 * caused are left out: a key whose value is bad has its default here, and a misspelt key or a broken file counts as not given.
 */
export function checkCombinations(settings: Settings, sourceOf: (path: string) => string, before: readonly Wrong[]): readonly Wrong[] {
  const clashes = [...etcdClashes(settings.etcd), ...embeddedClashes(settings.etcd), ...addressClashes(settings), ...poolClashes(settings)]
  const blameless = clashes.filter(({ keys }) => !before.some(({ path }) => mayCause(path, keys, sourceOf)))
  return blameless.map(({ keys, message }) => {
    const sources = new Set(keys.map(sourceOf).filter((source) => source !== 'default'))
    return { source: [...sources].join(' and '), path: keys[0] ?? '', message }
  })
}

/** The rules about etcd depend on each other's keys, the others on their own. What is given nowhere may be what was misspelt. */
function mayCause(path: string, keys: readonly string[], sourceOf: (path: string) => string): boolean {
  if (path.startsWith('etcd.') && keys.some((key) => key.startsWith('etcd.'))) return true
  return keys.includes(path) || (settingAt(path) === undefined && keys.every((key) => sourceOf(key) === 'default'))
}

type Etcd = Settings['etcd']

function* etcdClashes(etcd: Etcd): Iterable<Clash> {
  const isGiven = etcd.endpoints.length > 0
  const keys = ['etcd.endpoints', 'etcd.embedded']
  if (!isGiven && !etcd.embedded) {
    yield { keys, message: 'no etcd is given, give etcd.endpoints, or etcd.embedded: true on the one host that shall run it' }
  }
  if (isGiven && etcd.embedded) yield { keys, message: 'given together with etcd.embedded: true, give one of the two' }
  yield* pair(etcd, 'certFile', 'keyFile')
  yield* pair(etcd, 'username', 'passwordFile')
  if (!isGiven || etcd.endpoints.some((endpoint) => endpoint.startsWith('https:'))) return
  for (const name of ['caFile', 'certFile'] as const) {
    if (etcd[name] === '') continue
    yield { keys: [`etcd.${name}`, 'etcd.endpoints'], message: 'has no use, because no endpoint begins with https://' }
  }
}

function* pair(etcd: Etcd, a: 'certFile' | 'username', b: 'keyFile' | 'passwordFile'): Iterable<Clash> {
  if ((etcd[a] === '') === (etcd[b] === '')) return
  const [there, missing] = etcd[a] === '' ? [b, a] : [a, b]
  yield { keys: [`etcd.${there}`], message: `given without etcd.${missing}, give both or neither` }
}

function* embeddedClashes(etcd: Etcd): Iterable<Clash> {
  const files = ['embeddedCertFile', 'embeddedKeyFile', 'embeddedClientCaFile'] as const
  const missing = files.filter((name) => etcd[name] === '')
  if (!etcd.embedded) {
    const given = [...files.filter((name) => etcd[name] !== ''), ...(etcd.embeddedListen.length > 0 ? (['embeddedListen'] as const) : [])]
    for (const name of given) yield { keys: [`etcd.${name}`], message: 'given without etcd.embedded: true' }
    return
  }
  const open = etcd.embeddedListen.filter((address) => !isLoopback(address))
  const names = missing.map((name) => `etcd.${name}`).join(', ')
  if (open.length > 0 && missing.length > 0) {
    yield {
      keys: ['etcd.embeddedListen'],
      message: `${open.join(', ')} can be reached by others, which needs TLS and client certificates: give ${names}`,
    }
  } else if (missing.length > 0 && missing.length < files.length) {
    const given = files.filter((name) => etcd[name] !== '').map((name) => `etcd.${name}`)
    yield { keys: given, message: `given without ${names}, give all three or none` }
  }
}

function isLoopback(address: string): boolean {
  return isIp(address) && (address.startsWith('127.') || address === '::1')
}

function* addressClashes({ address }: Settings): Iterable<Clash> {
  if (address.ipv4.address !== 'none' || address.ipv6.address !== 'none') return
  const keys = ['address.ipv4.address', 'address.ipv6.address']
  yield { keys, message: 'none for both families, a host needs an underlay address of at least one' }
}

function* poolClashes(settings: Settings): Iterable<Clash> {
  for (const family of [4, 6] as const) yield* onePoolClashes(settings, family)
}

function* onePoolClashes(settings: Settings, family: Family): Iterable<Clash> {
  const name = `ipv${family}` as const
  const { cidr, blockSize } = settings.pools[name]
  if (cidr === 'auto' || cidr === 'none') return
  const key = `pools.${name}.cidr`
  if (!holdsBlock(cidr, blockSize)) {
    const message = `"${cidr}" is too small for one block of /${blockSize}, give a prefix of /${blockSize} or shorter, or a longer pools.${name}.blockSize`
    yield { keys: [key, `pools.${name}.blockSize`], message }
  }
  if (!settings.pools.create) yield { keys: [key, 'pools.create'], message: 'has no use with pools.create: false, give one of the two' }
  if (!settings.networking.enabled)
    yield { keys: [key, 'networking.enabled'], message: 'has no use with networking.enabled: false (policy only)' }
  if (settings.address[name].address === 'none') {
    yield { keys: [key, `address.${name}.address`], message: `needs an IPv${family} underlay address, but address.${name}.address is none` }
  }
}
