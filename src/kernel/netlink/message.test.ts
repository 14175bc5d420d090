import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eachMessage, type Message, MessageWriter, readAttributes, readNested, readNumber, readText } from './message.ts'

const test = suite('kernel/netlink/message')

test('what is written is read back', () => {
  const payload = fc.record({
    number: fc.nat(0xffff_ffff),
    text: fc.string({ maxLength: 300 }),
    bytes: fc.uint8Array({ maxLength: 40 }),
    small: fc.nat(255),
  })
  fc.assert(
    fc.property(fc.array(payload, { minLength: 1, maxLength: 8 }), (wanted) => {
      const writer = new MessageWriter(16)
      wanted.forEach(({ number, text, bytes, small }, i) => {
        const body = writer.begin(16 + i, 0x400, i + 1, 4)
        body.buffer[body.at] = small
        writer.u32(1, number)
        writer.nested(2, () => {
          writer.text(1, text.replaceAll('\0', ''))
          writer.u8(3, small)
        })
        writer.bytesOf(4, bytes)
        writer.finish()
      })
      const messages: Message[] = []
      eachMessage(writer.bytes(), (message) => messages.push(message))
      assert.is(messages.length, wanted.length)
      wanted.forEach(({ number, text, bytes, small }, i) => {
        const message = messages[i]
        const attributes = readAttributes(message?.payload ?? Buffer.alloc(0), 4)
        const inner = readNested(attributes.get(2))
        assert.equal([message?.type, message?.flags, message?.sequence, message?.payload[0]], [16 + i, 0x401, i + 1, small])
        assert.equal(
          [readNumber(attributes.get(1)), readText(inner.get(1)), readNumber(inner.get(3))],
          [number, text.replaceAll('\0', ''), small],
        )
        assert.equal([...(attributes.get(4) ?? [])], [...bytes])
      })
    }),
    { numRuns: 200 },
  )
})

test('any bytes are read without an error or an endless loop', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      eachMessage(Buffer.from(bytes), ({ payload }) => readAttributes(payload, 4))
    }),
    { numRuns: 500 },
  )
})

test.run()
