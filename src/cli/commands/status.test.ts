import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aStatus } from '../../../test/support/cli.ts'
import type { CollectorReport, PolicyReport, TrialReport } from '../../model/own/api.ts'
import { renderStatus } from './status.ts'

const test = suite('cli/commands/status')

const none = { addresses: 0, blocks: 0, handles: 0 }
const cases: readonly { readonly report: CollectorReport; readonly want: string }[] = [
  { report: { mode: 'on', isLeading: false, waiting: 0, collected: none }, want: '0 found, 0 collected' },
  {
    report: { mode: 'on', isLeading: true, leader: 'h1', waiting: 3, collected: { addresses: 5, blocks: 2, handles: 1 } },
    want: '3 found, 8 collected, this host collects for hosts that are gone',
  },
  {
    report: { mode: 'dry-run', isLeading: false, leader: 'h2', waiting: 1, collected: none },
    want: '1 found, a dry run, none collected, h2 collects for hosts that are gone',
  },
  {
    report: { mode: 'on', isLeading: false, waiting: 0, collected: none, problem: 'etcd did not answer' },
    want: '0 found, 0 collected\n            the last look failed: etcd did not answer',
  },
  { report: { mode: 'off', isLeading: false, waiting: 0, collected: none }, want: 'not looked for (ipam.collect is off)' },
]
for (const { report, want } of cases) {
  test(`leaked addresses: ${want}`, () => {
    assert.match(renderStatus(aStatus({ collector: report }), new Date('2026-11-21T09:00:00Z')), `\nLeaks       ${want}\n`)
  })
}

const trial = { id: 'k7fm', by: 'ada@h9', leftSeconds: 42, reasons: [], changes: ['GlobalNetworkPolicy web'] }
const trials: readonly { readonly report: TrialReport; readonly want: string }[] = [
  {
    report: { ...trial, state: 'running' },
    want: 'k7fm by ada@h9: GlobalNetworkPolicy web; the policy that was returns in 42 s (margay confirm k7fm)',
  },
  {
    report: { ...trial, state: 'refused', reasons: ['no room'] },
    want: 'k7fm by ada@h9: GlobalNetworkPolicy web; refused, what was before holds: no room',
  },
]
for (const { report, want } of trials) {
  test(`a trial: ${want}`, () => {
    const text = renderStatus(aStatus({ trials: [report] }), new Date('2026-11-21T09:00:00Z'))
    assert.ok(text.includes(`\nTrials      ${want}\n`), text)
  })
}

const none0 = { policies: 0, staged: 0, tiers: 0, workloads: 0, hostEndpoints: [], rules: 12 }
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `GlobalNetworkPolicy ${name}`)
const hostEndpoints = [
  { name: 'h1-eth0', interface: 'eth0', policies: names },
  { name: 'h1-rest', interface: '*', policies: [] },
]
const policies: readonly { readonly policy: PolicyReport; readonly want: string; readonly table: string }[] = [
  { policy: none0, want: 'no policies; 12 rules', table: '' },
  {
    policy: { policies: 12, staged: 2, tiers: 3, workloads: 5, hostEndpoints, rules: 1234 },
    want: '12 policies (2 staged) in 3 tiers on 5 workloads and 2 host endpoints; 1,234 rules',
    table: `
HOST ENDPOINT   INTERFACE   POLICIES
h1-eth0         eth0        ${names.slice(0, 5).join(', ')}, and 2 more
h1-rest         *           -
`,
  },
  { policy: { ...none0, policies: 1, tiers: 1, workloads: 1 }, want: '1 policy in 1 tier on 1 workload; 12 rules', table: '' },
]
for (const { policy, want, table } of policies) {
  test(`policy: ${want}`, () => {
    const text = renderStatus(aStatus({ policy }), new Date('2026-11-21T09:00:00Z'))
    assert.ok(text.includes(`\nPolicy      ${want}\n`) && text.endsWith(table), text)
    assert.is(text.includes('HOST ENDPOINT'), table !== '')
  })
}

test.run()
