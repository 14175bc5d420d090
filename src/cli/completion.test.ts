import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../test/support/cli.ts'

const test = suite('cli/completion')

const folder = mkdtempSync(join(tmpdir(), 'mgt-cli-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

async function scriptOf(shell: string, program: 'margay' | 'calicoctl' = 'margay'): Promise<string> {
  const done = await run(['completion', shell], { program })
  assert.equal([done.code, done.err], [0, ''])
  const file = join(folder, `${program}.${shell}`)
  writeFileSync(file, done.out)
  return file
}

/** What bash offers for the last of these words, with a margay that answers `get` as given. */
async function offers(words: readonly string[], names = ''): Promise<readonly string[]> {
  const file = await scriptOf('bash')
  const ask = [
    'source "$1"; shift',
    'margay() { printf "%s" "$NAMES"; }; timeout() { shift; "$@"; }',
    'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))',
    '_margay; for word in "\x24{COMPREPLY[@]}"; do printf "%s\\n" "$word"; done',
  ].join('\n')
  const done = spawnSync('bash', ['-c', ask, 'bash', file, 'margay', ...words], { encoding: 'utf8', env: { ...process.env, NAMES: names } })
  assert.equal([done.status, done.stderr], [0, ''])
  return done.stdout.split('\n').filter((line) => line !== '')
}

const cases: readonly (readonly [words: readonly string[], want: readonly string[]])[] = [
  [['ge'], ['get']],
  [['ipam', 're'], ['release']],
  [['datastore', 'migrate', 'l'], ['lock']],
  [['get', 'ippo'], ['ippools']],
  [['get', '-o', 'cust'], ['custom-columns=']],
  [['get', '--output', '=', 'ya'], ['yaml']],
  [['get', 'nodes', '--all'], ['--all-namespaces']],
  [['patch', 'pool', 'p1', '--type', 's'], ['strategic']],
  [['delete', '-n', 'shop', 'no'], ['nodes']],
  [['delete', '--namespace', '=', 'shop', 'no'], ['nodes']],
  [['node', 'st'], ['status']],
  [
    ['explain', 'shop/web', 'shop/db', 'u'],
    ['udp', 'udplite'],
  ],
  [['explain', '--family', '4', 'shop/web', 'shop/db', 'sc'], ['sctp']],
]
for (const [words, want] of cases) {
  test(`bash offers ${want.join(' ')} for "margay ${words.join(' ')}"`, async () => {
    assert.equal(await offers(words), want)
  })
}

test('bash offers hosts, host endpoints and workloads as ends', async () => {
  const names = 'NAMESPACE   WORKLOAD\nshop        web\nshop        db\n'
  assert.equal(await offers(['explain', 'shop/'], names), ['shop/web', 'shop/db'])
  assert.equal(await offers(['explain', 'shop/web', 'node/'], 'node/h1\nhostendpoint/h1-eth0\n'), ['node/h1'])
})

test('bash offers the names of resources, and files where a file is wanted', async () => {
  assert.equal(await offers(['get', 'nodes', 'h'], 'node/h1\nnode/h2\nnode/x1\n'), ['h1', 'h2'])
  assert.equal([...(await offers(['apply', '-f', 'packag']))].sort(), ['package-lock.json', 'package.json', 'packaging'])
})

for (const [shell, check] of [
  ['bash', ['bash', '-n']],
  ['zsh', ['zsh', '-n']],
] as const) {
  const isThere = spawnSync(shell, ['--version']).status === 0
  test(`${shell} takes the script, for margay and for calicoctl${isThere ? '' : ` (not here: no ${shell})`}`, async () => {
    for (const program of ['margay', 'calicoctl'] as const) {
      const file = await scriptOf(shell, program)
      if (!isThere) continue
      const done = spawnSync(check[0], [check[1], file], { encoding: 'utf8' })
      assert.equal([done.status, done.stderr], [0, ''])
    }
  })
}

test('another shell is refused', async () => {
  const done = await run(['completion', 'fish'])
  assert.equal([done.code, done.out], [2, ''])
  assert.match(done.err, /'fish' is invalid for argument 'shell'. Allowed choices are bash, zsh/)
})

test.run()
