// runs alone
// at most 400 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, tryRun } from '../../scripts/lab/command.ts'
import { IS_LONG } from '../support/fault.ts'

const test = suite('lab/commands')

interface Report {
  readonly ok: boolean
  readonly mode: string
  readonly subnets: number
  readonly pairs: { readonly total: number; readonly reachable: number; readonly expected: number }
  readonly wire: { readonly encapsulated: number; readonly plain: number }
  readonly switch: { readonly to: string; readonly lost: number }
}

function demo(...args: readonly string[]) {
  return tryRun(MACHINE, [process.execPath, 'scripts/demo.mjs', ...args], { timeoutMs: 120_000 })
}

const all = [
  { mode: 'vxlan-cross-subnet', subnets: 2, expected: 30, wire: [true, true] },
  { mode: 'direct', subnets: 2, expected: 14, wire: [false, true] },
  { mode: 'vxlan', subnets: 1, expected: 30, wire: [true, false] },
  { mode: 'vxlan', subnets: 2, expected: 30, wire: [true, false] },
  { mode: 'vxlan-cross-subnet', subnets: 1, expected: 30, wire: [false, true] },
  { mode: 'direct', subnets: 1, expected: 30, wire: [false, true] },
]
for (const { mode, subnets, expected, wire } of IS_LONG ? all : all.slice(0, 2)) {
  test(`the demo shows ${mode} on ${subnets} subnets, and ends with one line for machines`, async () => {
    const { code, stdout, stderr } = await demo('--json', '--mode', mode, '--subnets', String(subnets))
    assert.is(code, 0, `${stdout}${stderr}`)
    const report = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Report
    assert.equal([report.ok, report.mode, report.subnets], [true, mode, subnets])
    assert.equal(report.pairs, { total: 30, reachable: expected, expected })
    assert.equal([report.wire.encapsulated > 0, report.wire.plain > 0], wire)
    assert.is(stdout.includes('\x1b'), false, 'colours are for terminals')
  })
}

test('the demo refuses what it does not know, with exit code 2', async () => {
  const wrong = await demo('--mode', 'bgp')
  assert.is(wrong.code, 2)
  assert.match(wrong.stderr, /--mode "bgp": it is one of vxlan, vxlan-cross-subnet, direct/)
  assert.is((await demo('--subnets', '3')).code, 2)
  assert.is((await demo('--sunbets', '2')).code, 2)
})

test('a lab shell has the hosts and their command line at hand, and goes when it ends', async () => {
  const input = 'h1 hostname\nmargay2 workload list\nw1 ping -q -c 1 "$(w2 hostname -I | cut -d" " -f1)"\n'
  const argv = [process.execPath, 'scripts/lab.mjs', 'shell', '--hosts', '2', '--subnets', '1', '--mode', 'vxlan']
  const { code, stdout, stderr } = await tryRun(MACHINE, argv, { input, timeoutMs: 60_000 })
  assert.is(code, 0, `${stdout}${stderr}`)
  for (const part of ['\nh1\n', 'w2', ' 0% packet loss']) assert.ok(stdout.includes(part), `${JSON.stringify(part)} in ${stdout}`)
})

test.run()
