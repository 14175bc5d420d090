import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { succeeded, withLab } from '../support/scenario.ts'

const test = suite('lab/wait')

function pool(disabled: boolean): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: second}\nspec: {cidr: 10.99.0.0/24, disabled: ${disabled}}\n`
}

test('--wait ends when all hosts have applied, and names the one that is silent', async () => {
  await withLab({ hosts: [0, 0], etcd: 'plain' }, async (lab) => {
    const daemon = lab.daemon('h1')
    const apply = (text: string, seconds: string) => daemon.margay(['apply', '-f', '-', '--wait', seconds], text)
    assert.is(succeeded(await apply(pool(false), '20')), 'ippool/second created\napplied on 2 of 2 hosts\n')
    process.kill(lab.daemon('h2').pid(), 'SIGSTOP')
    try {
      const { code, stdout } = await apply(pool(true), '2')
      assert.equal([code, stdout], [3, 'ippool/second updated\napplied on 1 of 2 hosts\n  h2 did not answer within 2 s\n'])
    } finally {
      process.kill(lab.daemon('h2').pid(), 'SIGCONT')
    }
    assert.is(succeeded(await apply(pool(true), '20')), 'ippool/second unchanged\napplied on 2 of 2 hosts\n')
    assert.match(succeeded(await daemon.margay(['delete', 'pool', 'second', '--wait', '20'])), /applied on 2 of 2 hosts\n$/)
  })
})

test.run()
