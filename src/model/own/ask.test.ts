import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refusal } from '../../../test/support/daemon.ts'
import { decodeAnswer, decodeAsk, MOST_BODY_BYTES, packBody, unpackBody } from './ask.ts'
import { readChanges, readFlowsQuestion, readSessionsQuestion } from './questions.ts'

const test = suite('model/own/ask')

test('a short body stands as it is, a long one compressed, and both come back', async () => {
  const short = { a: ['b'] }
  assert.is(await packBody('it', short), short)
  const long = Array.from({ length: 5000 }, (_, index) => ({ name: `policy-${index}` }))
  const packed = await packBody('it', long)
  assert.equal(Object.keys(packed as object), ['gzip'])
  assert.ok(JSON.stringify(packed).length < JSON.stringify(long).length / 2)
  assert.equal([await unpackBody(short), await unpackBody(packed)], [short, long])
})

test('what is too long for etcd also compressed is refused, with how long it is and may be', async () => {
  const text = randomBytes(2 * MOST_BODY_BYTES).toString('hex')
  assert.match(
    await refusal(packBody('the question', text)),
    new RegExp(`^the question is too long .*: \\d+ bytes, and ${MOST_BODY_BYTES} at most$`),
  )
})

test('a body that can not be unfolded is refused', async () => {
  assert.match(await refusal(unpackBody({ gzip: 'AAAA' })), /can not be unfolded/)
})

test('questions and answers without a kind are as they always were', () => {
  assert.equal(decodeAsk('{"revision":7,"lease":"3"}'), { revision: 7, lease: '3' })
  assert.equal(decodeAnswer('{"node":"h1","revision":7,"refused":0,"reasons":[]}'), { node: 'h1', revision: 7, refused: 0, reasons: [] })
})

test('bodies that are none are refused with what is wrong', () => {
  assert.throws(() => readFlowsQuestion({ changes: [{ kind: 1 }] }), /changes\[0\]/)
  assert.throws(
    () => readSessionsQuestion({ changes: [], callers: [{ source: { address: 'x' }, destination: {}, protocol: 6 }] }),
    /address/,
  )
  assert.throws(() => readChanges([{ kind: 'Moon', id: 'a' }]), /"Moon" is no kind that this version knows/)
  assert.throws(() => readChanges([{ kind: 'Tier', id: 'a', value: '{' }]), /not JSON/)
})

test.run()
