import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { byKey } from '../../test/support/boot-rules.ts'
import { aFolder, aLog } from '../../test/support/daemon.ts'
import { byFamily, TestView } from '../../test/support/planning.ts'
import { aHostEndpoint } from '../../test/support/policies.ts'
import type { NftObject } from '../kernel/objects.ts'
import { silentLogger } from '../log.ts'
import { type FrameInput, planFrame, TUNNEL_INTERFACES, WORKLOAD_INTERFACES } from '../policy/frame.ts'
import { type AppliedRules, BootRules, bootRulesPath } from './boot-rules.ts'

const test = suite('daemon/boot-rules')

const changes = [{ kind: 'HostEndpoint', id: 'eth0' }] as const
const input = { type: 'filter', hook: 'input', priority: 0 } as const

/** Of a host that did not forward before margay came. */
const frame: FrameInput = {
  ...{ hosts: byFamily([]), externalHosts: [], vxlan: undefined, forwardOnlyOurs: true },
  ...{ workloadInterfaces: WORKLOAD_INTERFACES, tunnelInterfaces: TUNNEL_INTERFACES, otherInterfaces: [] },
}

let revision = 0

/** What a table holds that drops all that comes from these addresses; planned anew each time. */
function policyOf(...addresses: readonly string[]): AppliedRules {
  const objects: readonly NftObject[] = [
    { kind: 'set', name: 'denied', family: 4, isInterval: false, elements: new Set(addresses) },
    {
      kind: 'chain',
      name: 'to-host',
      hook: input,
      rules: [{ matches: [{ on: 'saddr', set: 'denied', family: 4 }], verdict: { do: 'drop' } }],
    },
    ...planFrame(frame),
  ]
  return { objects: byKey(objects), revision: ++revision }
}

function aView(...nodes: readonly string[]): TestView {
  const view = new TestView()
  for (const node of nodes) view.set('HostEndpoint', node, aHostEndpoint(node, { node, interfaceName: 'eth0' }))
  return view
}

async function inFolder(work: (folder: string, rules: BootRules) => Promise<void>): Promise<void> {
  const folder = aFolder()
  try {
    await work(folder.path, new BootRules(folder.path, 'h1', silentLogger))
  } finally {
    folder.close()
  }
}

function fileOf(folder: string): string | undefined {
  return existsSync(bootRulesPath(folder)) ? readFileSync(bootRulesPath(folder), 'utf8') : undefined
}

test('what the table holds is in a script for root only, but for what waits until the daemon knows the host', () =>
  inFolder(async (folder, rules) => {
    rules.note(aView('h1'), changes, policyOf('192.0.2.9'))
    await rules.flush()
    const text = fileOf(folder) ?? ''
    assert.match(text, /^#!\/usr\/sbin\/nft -f\n/)
    assert.match(text, 'elements = { 192.0.2.9 }')
    assert.match(text, 'chain to-host {\nip saddr @denied drop\n}')
    assert.ok(policyOf().objects.has('chain filter-forward'))
    assert.not.match(text, 'forward')
    assert.is(statSync(bootRulesPath(folder)).mode & 0o777, 0o600)
    assert.equal(readdirSync(folder), ['boot.nft'])
  }))

/** Views by which an older file is brought up to date, and whether there is one afterwards. */
const views: readonly { readonly name: string; readonly view: TestView; readonly isThere: boolean }[] = [
  { name: 'a host endpoint of this host', view: aView('h2', 'h1'), isThere: true },
  { name: 'host endpoints of other hosts only', view: aView('h2'), isThere: false },
  { name: 'no host endpoint at all', view: aView(), isThere: false },
]
for (const { name, view, isThere } of views) {
  test(`with ${name} there is ${isThere ? 'a' : 'no'} file, whatever another run has left`, () =>
    inFolder(async (folder, rules) => {
      writeFileSync(bootRulesPath(folder), 'old\n')
      rules.note(view, [], policyOf())
      await rules.flush()
      assert.is(fileOf(folder)?.includes('chain to-host'), isThere ? true : undefined)
    }))
}

test('a host endpoint that does not parse and has no good version is one', () =>
  inFolder(async (folder, rules) => {
    const view = aView()
    const reach = { of: 'host', node: 'h1', expectedIps: [] } as const
    view.unreadable.set('HostEndpoint/eth0', { kind: 'HostEndpoint', id: 'eth0', reason: 'no', reach })
    rules.note(view, changes, policyOf())
    await rules.flush()
    assert.ok(fileOf(folder))
  }))

test('the file goes with the last host endpoint and comes with the first', () =>
  inFolder(async (folder, rules) => {
    const [view, policy] = [aView('h1'), policyOf()]
    const seen: boolean[] = []
    for (const node of ['h1', undefined, 'h1']) {
      view.set('HostEndpoint', 'h1', node === undefined ? undefined : aHostEndpoint('h1', { node, interfaceName: 'eth0' }))
      rules.note(view, changes, policy)
      await rules.flush()
      seen.push(fileOf(folder) !== undefined)
    }
    assert.equal(seen, [true, false, true])
  }))

test('a pass that was not applied whole leaves the file, and what it learnt of host endpoints counts with the next', () =>
  inFolder(async (folder, rules) => {
    writeFileSync(bootRulesPath(folder), 'old\n')
    const view = aView()
    rules.note(view, changes, undefined)
    await rules.flush()
    assert.is(fileOf(folder), 'old\n')
    view.set('HostEndpoint', 'h1', aHostEndpoint('h1', { node: 'h1', interfaceName: 'eth0' }))
    rules.note(view, changes, undefined)
    rules.note(view, [], policyOf('192.0.2.9'))
    await rules.flush()
    assert.match(fileOf(folder) ?? '', '192.0.2.9')
  }))

test('nothing is written where nothing changed, also when it was planned anew', () =>
  inFolder(async (folder, rules) => {
    const [view, policy] = [aView('h1'), policyOf('192.0.2.9')]
    rules.note(view, changes, policy)
    await rules.flush()
    const inode = () => statSync(bootRulesPath(folder)).ino
    const first = inode()
    for (const same of [policy, policyOf('192.0.2.9')]) {
      rules.note(view, [], same)
      await rules.flush()
      assert.is(inode(), first)
    }
    rules.note(view, [], policyOf('192.0.2.10'))
    await rules.flush()
    assert.match(fileOf(folder) ?? '', '192.0.2.10')
  }))

test('a full disk is said once, and the old rules stay', async () => {
  const folder = aFolder()
  const disk = join(folder.path, 'disk')
  mkdirSync(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', disk])
  try {
    writeFileSync(bootRulesPath(disk), 'old\n')
    const log = aLog()
    const rules = new BootRules(disk, 'h1', log)
    for (const last of [1, 2]) {
      const addresses = Array.from({ length: 1000 }, (_, i) => `10.${last}.${i >> 8}.${i & 255}`)
      rules.note(aView('h1'), changes, policyOf(...addresses))
      await rules.flush()
    }
    const problem = `could not write ${bootRulesPath(disk)}: ENOSPC: no space left on device, write`
    assert.is(rules.problem, problem)
    assert.equal(log.lines, [`error boot rules could not be written: could not write ${bootRulesPath(disk)}`])
    assert.equal([fileOf(disk), readdirSync(disk)], ['old\n', ['boot.nft']])
    rules.note(aView('h1'), changes, policyOf())
    await rules.flush()
    assert.equal([rules.problem, fileOf(disk)?.includes('to-host')], [undefined, true])
  } finally {
    execFileSync('umount', [disk])
    folder.close()
  }
})

test.run()
