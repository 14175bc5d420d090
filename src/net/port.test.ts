import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parsePortRange, parseProtocol } from './port.ts'

const test = suite('net/port')

test('ports and ranges', () => {
  assert.equal(parsePortRange('80'), { low: 80, high: 80 })
  assert.equal(parsePortRange('0'), { low: 0, high: 0 })
  assert.equal(parsePortRange('8000:8100'), { low: 8000, high: 8100 })
  assert.equal(parsePortRange('65535:65535'), { low: 65_535, high: 65_535 })
})

const refused = [
  ['65536', 'not a port (0 to 65535) or a range such as 8000:8100: "65536"'],
  ['80x', 'not a port (0 to 65535) or a range such as 8000:8100: "80x"'],
  ['-1', 'not a port (0 to 65535) or a range such as 8000:8100: "-1"'],
  ['1e3', 'not a port (0 to 65535) or a range such as 8000:8100: "1e3"'],
  ['', 'not a port (0 to 65535) or a range such as 8000:8100: ""'],
  ['1-2', 'not a port (0 to 65535) or a range such as 8000:8100: "1-2"'],
  ['90:80', 'the range "90:80" is the wrong way round: write 80:90'],
] as const
for (const [text, message] of refused) {
  test(`${JSON.stringify(text)} is refused`, () =>
    assert.throws(
      () => parsePortRange(text),
      (error: Error) => error.message === message,
    ))
}

test('protocols by name and number', () => {
  assert.equal(['TCP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite', '6', '255', '1'].map(parseProtocol), [6, 17, 1, 58, 132, 136, 6, 255, 1])
})

test('other protocols are refused, with what was meant', () => {
  const names = 'TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or 1 to 255'
  const message = (text: string) => {
    try {
      return String(parseProtocol(text))
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.is(message('tcp'), `"tcp" is not a protocol (${names}): did you mean "TCP"?`)
  assert.is(message('0'), `"0" is not a protocol (${names})`)
  assert.is(message('256'), `"256" is not a protocol (${names})`)
  assert.is(message('toString'), `"toString" is not a protocol (${names})`)
})

test.run()
