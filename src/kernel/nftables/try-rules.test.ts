import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createNamespace } from '../../../test/support/nft-lab.ts'
import type { NftRule } from '../objects.ts'
import { tryRules } from './try-rules.ts'

const test = suite('kernel/nftables/try-rules')

const logs: NftRule = {
  matches: [],
  limit: { rate: 10, seconds: 1, burst: 20 },
  log: { group: 77, prefix: 'margay' },
  verdict: { do: 'continue' },
}

test('what the kernel takes and what it does not is known, and nothing is changed by asking', () => {
  const namespace = createNamespace('try')
  try {
    const options = { netns: namespace.path }
    namespace.run('nft', 'add table inet margay-trial')
    const before = namespace.run('nft', 'list', 'ruleset')
    assert.is(tryRules([logs], options), undefined)
    const error = tryRules([logs, { ...logs, counter: 'missing' }], options)
    assert.match(error?.message ?? '', /^could not use a rule of this kind: ENOENT/)
    assert.is(tryRules([logs], options), undefined, 'asked again')
    assert.is(namespace.run('nft', 'list', 'ruleset'), before)
  } finally {
    namespace.remove()
  }
})

test.run()
