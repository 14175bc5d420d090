import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readHeader } from './header.ts'

const test = suite('kernel/nflog/header')

/** 192.0.2.1 to 198.51.100.7, 60 bytes long, with this protocol, fragment field and what follows. */
function ipv4(protocol: string, follows: string, fragment = '4000', head = '45'): string {
  return `${head} 00 003c 1234 ${fragment} 40 ${protocol} 0000 c0000201 c6336407 ${head === '46' ? '01010101' : ''} ${follows}`
}

/** 2001:db8::1 to 2001:db8::2 with 20 bytes after the header. */
function ipv6(next: string, follows: string): string {
  return `60000000 0014 ${next} 40 20010db8000000000000000000000001 20010db8000000000000000000000002 ${follows}`
}

const V4 = { family: 4, source: '192.0.2.1', destination: '198.51.100.7', lengthBytes: 60 }
const V6 = { family: 6, source: '2001:db8::1', destination: '2001:db8::2', lengthBytes: 60 }
const SYN = 'c350 0050 00000001 00000000 5002 ffff 0000 0000'
const PORTS = { sourcePort: 50_000, destinationPort: 80 }

const cases: readonly (readonly [string, string, unknown])[] = [
  ['TCP', ipv4('06', SYN), { ...V4, protocol: 6, ...PORTS, tcpFlags: 2 }],
  ['TCP behind options', ipv4('06', SYN, '4000', '46'), { ...V4, protocol: 6, ...PORTS, tcpFlags: 2 }],
  ['TCP whose end is cut off', ipv4('06', 'c350 0050 0000'), { ...V4, protocol: 6, ...PORTS }],
  ['TCP without its ports', ipv4('06', 'c350'), { ...V4, protocol: 6 }],
  ['UDP', ipv4('11', 'c350 0050 0008 0000'), { ...V4, protocol: 17, ...PORTS }],
  ['a first fragment', ipv4('11', 'c350 0050 0008 0000', '2000'), { ...V4, protocol: 17, ...PORTS }],
  ['a later fragment', ipv4('11', 'c350 0050 0008 0000', '2001'), { ...V4, protocol: 17 }],
  ['an echo request', ipv4('01', '0800 0000 0001 0001'), { ...V4, protocol: 1, icmp: { type: 8, code: 0 } }],
  ['IP-in-IP', ipv4('04', '4500'), { ...V4, protocol: 4 }],
  ['IPv6 TCP', ipv6('06', SYN), { ...V6, protocol: 6, ...PORTS, tcpFlags: 2 }],
  ['ICMPv6', ipv6('3a', '8000 0000'), { ...V6, protocol: 58, icmp: { type: 128, code: 0 } }],
  ['IPv6 UDP behind options for each hop', ipv6('00', '1100 0000 0000 0000 c350 0050 0008 0000'), { ...V6, protocol: 17, ...PORTS }],
  ['a first fragment of IPv6', ipv6('2c', '1100 0001 0000 0001 c350 0050 0008 0000'), { ...V6, protocol: 17, ...PORTS }],
  ['a later fragment of IPv6', ipv6('2c', '1100 0009 0000 0001 c350 0050 0008 0000'), { ...V6, protocol: 17 }],
  [
    'IPv6 TCP behind an authentication header',
    ipv6('33', `0604 0000 ${'00'.repeat(20)} ${SYN}`),
    { ...V6, protocol: 6, ...PORTS, tcpFlags: 2 },
  ],
  ['extension headers that are cut off', ipv6('00', '1100'), { ...V6, protocol: 0 }],
  ['an IPv4 header that is cut off', '4500', undefined],
  ['an IPv6 header that is cut off', '6000', undefined],
  ['what is no IP', 'ffff ffff ffff ffff ffff ffff ffff ffff ffff ffff', undefined],
  ['nothing', '', undefined],
]
for (const [name, hex, want] of cases) test(name, () => assert.equal(readHeader(Buffer.from(hex.replaceAll(' ', ''), 'hex')), want))

test.run()
