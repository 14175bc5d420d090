import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { NODE_FLAGS } from '../scripts/node-flags.mjs'

const test = suite('test/node-flags')

test('the unit starts the daemon with the same flags of Node as the lab and the program itself', () => {
  const unit = readFileSync(join(process.cwd(), 'systemd/margayd.service'), 'utf8')
  const start = /^ExecStart=\/usr\/lib\/margay\/node (.*)$/m.exec(unit)?.[1]
  assert.is(start, [...NODE_FLAGS, '/usr/lib/margay/margayd.js'].join(' '))
})

test.run()
