import { familyOf } from '../../net/ip.ts'
import type { NftHook, NftLimit, NftMatch, NftObject, NftRule, NftSet, NftVerdict } from '../objects.ts'
import { KEY_PARTS, splitKey } from './element-keys.ts'

/**
 * The table `inet margay` with these objects and nothing else, as a script for `nft -f` (nft(8)) which replaces the table in one
 * transaction. For when no daemon runs: it loads the same rules that the daemon writes over netlink.
 */
export function nftScript(objects: readonly NftObject[]): string {
  return [...nftScriptParts(objects)].join('')
}

/** The same script in pieces, each of which is made in well under a millisecond: a set may have 100,000 elements. */
export function* nftScriptParts(objects: readonly NftObject[]): Generator<string> {
  const chains = objects.filter((object) => object.kind === 'chain')
  // Deleting what is not there is refused, making what is there is not.
  yield 'table inet margay { }\ndelete table inet margay\ntable inet margay {\n'
  // A map may lead to a chain that is written later, but not to one that is never declared.
  for (const { name, hook } of chains) yield `chain ${name} { ${hook ? writeHook(hook) : ''} }\n`
  for (const object of objects) if (object.kind === 'set') yield* writeSet(object)
  for (const object of objects) if (object.kind === 'counter') yield `counter ${object.name} { }\n`
  yield '}\ntable inet margay {\n'
  for (const { name, rules } of chains) {
    yield `chain ${name} {\n`
    for (const rule of rules) yield `${writeRule(rule)}\n`
    yield '}\n'
  }
  yield '}\n'
}

const KEY_TYPES = { port: 'inet_service', protocol: 'inet_proto', interface: 'ifname', mac: 'ether_addr', family: 'nf_proto' } as const

/** So many elements are in one piece. */
const ELEMENTS_PER_PART = 500

function* writeSet(set: NftSet): Generator<string> {
  const type = `type ${keyType(set)}${set.isMap ? ' : verdict' : ''}`
  const flags = set.isTimed ? `flags ${set.key === 'connection' ? 'dynamic,' : ''}timeout\n` : set.isInterval ? 'flags interval\n' : ''
  yield `${set.isMap ? 'map' : 'set'} ${set.name} {\n${type}\n${flags}`
  let part: string[] = []
  let begin = 'elements = { '
  for (const element of set.elements) {
    part.push(writeElement(set, element))
    if (part.length < ELEMENTS_PER_PART) continue
    yield begin + part.join(', ')
    begin = ', '
    part = []
  }
  if (part.length > 0) yield begin + part.join(', ')
  yield set.elements.size > 0 ? ' }\n}\n' : '}\n'
}

function keyType({ key = 'address', family }: NftSet): string {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  return KEY_PARTS[key].map((part) => (part === 'address' ? address : KEY_TYPES[part])).join(' . ')
}

function writeElement({ key = 'address', isMap }: NftSet, element: string): string {
  const [text = '', chain] = isMap ? element.split(' goto ') : [element]
  const texts = splitKey(key, text).map((one, i) => (KEY_PARTS[key][i] === 'interface' ? JSON.stringify(one) : one))
  const written = texts.join(' . ')
  return chain === undefined ? written : `${written} : goto ${chain}`
}

function writeHook({ type, hook, priority }: NftHook): string {
  return `type ${type} hook ${hook} priority ${priority}; policy accept;`
}

function writeRule({ matches, limit, isCounted, counter, setMark, log, verdict }: NftRule): string {
  return [
    ...matches.map(writeMatch),
    ...(limit ? [writeLimit(limit)] : []),
    ...(isCounted ? ['counter'] : []),
    ...(counter === undefined ? [] : [`counter name ${counter}`]),
    ...(setMark ? [`meta mark set meta mark & ${hex(~setMark.mask)} | ${hex(setMark.value)}`] : []),
    ...(log ? [`log prefix ${JSON.stringify(log.prefix)} group ${log.group}`] : []),
    ...writeVerdict(verdict),
  ].join(' ')
}

function writeLimit({ rate, seconds, burst }: NftLimit): string {
  return `limit rate ${rate}/${SPANS[seconds]} burst ${burst} packets`
}

const SPANS: Readonly<Record<NftLimit['seconds'], string>> = { 1: 'second', 60: 'minute', 3600: 'hour', 86400: 'day' }

function writeMatch(match: NftMatch): string {
  const not = match.negate ? '!= ' : ''
  switch (match.on) {
    case 'iifname':
    case 'oifname':
      return `${match.on} ${not}${JSON.stringify(match.value)}`
    case 'sender':
      return writeSender(match, not)
    case 'family':
      return `meta nfproto ${not}${'set' in match ? `@${match.set}` : match.value === 4 ? 'ipv4' : 'ipv6'}`
    case 'protocol':
      return `meta l4proto ${not}${match.value}`
    case 'sport':
    case 'dport':
      return `th ${match.on} ${not}${'set' in match ? `@${match.set}` : match.value}`
    case 'source':
    case 'destination':
      return writeAddressPort(match, not)
    case 'connection':
      return writeConnection(match, not)
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

function writeSender({ key, family, set }: Extract<NftMatch, { on: 'sender' }>, not: string): string {
  const texts = KEY_PARTS[key].map((part) =>
    part === 'interface' ? 'iifname' : part === 'mac' ? 'ether saddr' : `${header(family)} saddr`,
  )
  return `${texts.join(' . ')} ${not}@${set}`
}

function writeConnection({ family, set, refreshMs }: Extract<NftMatch, { on: 'connection' }>, not: string): string {
  const [ip, timeout] = [header(family), refreshMs === undefined ? '' : `${refreshMs}ms`]
  const key = `meta l4proto . ${ip} saddr . th sport . ${ip} daddr . th dport`
  return `${key} ${not}@${set}${timeout && ` update @${set} { ${key} timeout ${timeout} }`}`
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
      return [`reject with ${verdict.by === 'reset' ? 'tcp reset' : 'icmpx type port-unreachable'}`]
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
