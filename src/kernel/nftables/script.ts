import { familyOf } from '../../net/ip.ts'
import type { NftChain, NftHook, NftKey, NftMatch, NftObject, NftRule, NftSet, NftVerdict } from '../objects.ts'

/**
 * The table `inet margay` with these objects and nothing else, as a script for `nft -f` (nft(8)) which replaces the table in one
 * transaction. For when no daemon runs: it loads the same rules that the daemon writes over netlink.
 */
export function nftScript(objects: readonly NftObject[]): string {
  const chains = objects.filter((object) => object.kind === 'chain')
  const sets = objects.filter((object) => object.kind === 'set')
  return [
    // Deleting what is not there is refused, making what is there is not.
    'table inet margay { }',
    'delete table inet margay',
    'table inet margay {',
    // A map may lead to a chain that is written later, but not to one that is never declared.
    ...chains.map(({ name, hook }) => `chain ${name} { ${hook ? writeHook(hook) : ''} }`),
    ...sets.map(writeSet),
    '}',
    'table inet margay {',
    ...chains.map(writeChain),
    '}',
    '',
  ].join('\n')
}

const KEY_TYPES: Readonly<Record<Exclude<NftKey, 'address' | 'address-port'>, string>> = { port: 'inet_service', interface: 'ifname' }

function writeSet(set: NftSet): string {
  const elements = [...set.elements].map((element) => writeElement(set, element))
  return [
    `${set.isMap ? 'map' : 'set'} ${set.name} {`,
    `type ${keyType(set)}${set.isMap ? ' : verdict' : ''}`,
    ...(set.isInterval ? ['flags interval'] : []),
    ...(elements.length === 0 ? [] : [`elements = { ${elements.join(', ')} }`]),
    '}',
  ].join('\n')
}

function keyType({ key = 'address', family }: NftSet): string {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  if (key === 'address') return address
  return key === 'address-port' ? `${address} . inet_proto . inet_service` : KEY_TYPES[key]
}

function writeElement({ key, isMap }: NftSet, element: string): string {
  const [text = '', chain] = isMap ? element.split(' goto ') : [element]
  const written = key === 'address-port' ? text.replaceAll(',', ' . ') : key === 'interface' ? JSON.stringify(text) : text
  return chain === undefined ? written : `${written} : goto ${chain}`
}

function writeHook({ type, hook, priority }: NftHook): string {
  return `type ${type} hook ${hook} priority ${priority}; policy accept;`
}

function writeChain({ name, rules }: NftChain): string {
  return [`chain ${name} {`, ...rules.map(writeRule), '}'].join('\n')
}

function writeRule({ matches, isCounted, setMark, log, verdict }: NftRule): string {
  return [
    ...matches.map(writeMatch),
    ...(isCounted ? ['counter'] : []),
    ...(setMark ? [`meta mark set meta mark & ${hex(~setMark.mask)} | ${hex(setMark.value)}`] : []),
    ...(log ? [`log prefix ${JSON.stringify(log.prefix)} group ${log.group}`] : []),
    ...writeVerdict(verdict),
  ].join(' ')
}

function writeMatch(match: NftMatch): string {
  const not = match.negate ? '!= ' : ''
  switch (match.on) {
    case 'iifname':
    case 'oifname':
      return `${match.on} ${not}${JSON.stringify(match.value)}`
    case 'family':
      return `meta nfproto ${not}${match.value === 4 ? 'ipv4' : 'ipv6'}`
    case 'protocol':
      return `meta l4proto ${not}${match.value}`
    case 'sport':
    case 'dport':
      return `th ${match.on} ${not}${'set' in match ? `@${match.set}` : match.value}`
    case 'source':
    case 'destination':
      return writeAddressPort(match, not)
    case 'icmp-type':
    case 'icmp-code':
      // Type and code are the first two bytes of ICMP's header and of ICMPv6's.
      return `@th,${match.on === 'icmp-type' ? 0 : 8},8 ${not}${match.value}`
    case 'hop-limit':
      return `ip6 hoplimit ${not}${match.value}`
    case 'saddr':
    case 'daddr': {
      const family = 'set' in match ? match.family : familyOf(match.value)
      return `${header(family)} ${match.on} ${not}${'set' in match ? `@${match.set}` : match.value}`
    }
    case 'ct-state':
      return `ct state ${match.negate ? '! ' : ''}${match.value.join(',')}`
    case 'translated':
      return `ct status ${match.negate ? '! ' : ''}dnat`
    case 'origin':
      return `meta iif ${not}0`
    case 'saddr-type':
    case 'daddr-type':
      return `fib ${match.on === 'saddr-type' ? 'saddr' : 'daddr'} type ${not}local`
    case 'mark':
      return `meta mark & ${hex(match.mask)} ${match.negate ? '!=' : '=='} ${hex(match.value)}`
  }
}

function writeAddressPort({ on, family, set }: Extract<NftMatch, { on: 'source' | 'destination' }>, not: string): string {
  const [address, port] = on === 'source' ? ['saddr', 'sport'] : ['daddr', 'dport']
  return `${header(family)} ${address} . meta l4proto . th ${port} ${not}@${set}`
}

function header(family: 4 | 6): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6'
}

function writeVerdict(verdict: NftVerdict): readonly string[] {
  switch (verdict.do) {
    case 'notrack':
      return ['notrack', 'accept']
    case 'jump':
    case 'goto':
      return [verdict.do, verdict.chain]
    case 'map':
      return [verdict.on === 'iifname' || verdict.on === 'oifname' ? verdict.on : `th ${verdict.on}`, `vmap @${verdict.map}`]
    case 'continue':
      return []
    case 'reject':
      return ['reject with icmpx type port-unreachable']
    case 'masquerade':
      return ['masquerade', ...translationEnd(verdict)]
    case 'snat':
      return [`snat ${header(familyOf(verdict.address))} to ${verdict.address}${portsOf(verdict)}`, ...randomOf(verdict)]
    default:
      return [verdict.do]
  }
}

type Translation = Extract<NftVerdict, { do: 'masquerade' | 'snat' }>

function translationEnd(verdict: Translation): readonly string[] {
  return [...(verdict.ports ? [`to ${portsOf(verdict)}`] : []), ...randomOf(verdict)]
}

function portsOf({ ports }: Translation): string {
  return ports ? `:${ports[0]}-${ports[1]}` : ''
}

function randomOf({ isRandom }: Translation): readonly string[] {
  return isRandom ? ['fully-random'] : []
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`
}
