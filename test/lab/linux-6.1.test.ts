// runs alone
// at most 300 s
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MACHINE, tryRun } from '../../scripts/lab/command.ts'
import { IS_LONG } from '../support/fault.ts'

const test = suite('lab/linux 6.1')

/** A User-mode Linux kernel (x86-64) of the oldest distribution that margay is for, with VXLAN, nftables and namespaces built in. */
const LINUX = resolve(process.env['LINUX_UML'] ?? '../shared/lab/uml-linux')

/**
 * What has to do with the kernel, in as many machines as run beside each other; each machine has one CPU, and takes a good part of a
 * second to start a process: what makes many namespaces runs with `--long` only.
 */
const MACHINES: readonly (readonly string[])[] = [
  [
    'src/kernel/real',
    'src/daemon/plan-kernel',
    'src/kernel/nftables/watch',
    'src/kernel/nftables/timed',
    'src/kernel/sysctl',
    'src/kernel/single-instance',
  ],
  [
    'src/kernel/nftables/table',
    'src/kernel/nftables/maps',
    'src/kernel/nftables/counters',
    'src/kernel/nftables/script',
    'src/daemon/flows',
    'src/kernel/netlink/links',
    'src/kernel/netns',
    'src/kernel/native',
  ],
  ['src/policy/differential', 'src/policy/implicit-packets', 'src/policy/states'],
  ...(IS_LONG ? [['src/policy/packets', 'src/policy/anti-spoofing', 'src/policy/tracking']] : []),
]
const DEADLINE_MS = 280_000
/** Of one suite: one that waits for ever is named, and the others have their turn. */
const SUITE_S = 200
/** Of the random worlds of `policy/differential`; 40 packets each. */
const WORLDS = IS_LONG ? 20 : 5

/** How a suite ended in there. */
interface Result {
  readonly code: number
  readonly total: number
  readonly passed: number
  readonly output: string
}

interface Run {
  readonly release: string
  readonly results: ReadonlyMap<string, Result>
  readonly output: string
}

/**
 * The first process of the machine, whose root is this machine's own, read only. Node writes nothing outside these folders;
 * /sys and /proc are the new kernel's, so the suites make their namespaces there.
 */
function initScript(bundles: string, paths: readonly string[]): string {
  const runs = paths.map((path) => [
    `echo "=== ${path}"`,
    `timeout -s KILL ${SUITE_S} ${process.execPath} --enable-source-maps ${bundles}/${path}.test.mjs 2>&1 </dev/null`,
    'echo "=== ended $?"',
  ])
  return [
    '#!/bin/bash',
    // Not over /tmp: this checkout may lie below it.
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/tmp TMPDIR=/run/tmp NO_COLOR=1',
    `export TEST_WORLDS=${WORLDS}`,
    'mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run; mkdir /run/tmp',
    'ip link set lo up',
    'echo "=== release $(uname -r)"',
    `cd ${process.cwd()}`,
    ...runs.flat(),
    'echo "=== done"',
    'echo o > /proc/sysrq-trigger; sleep 60',
  ].join('\n')
}

async function bundle(paths: readonly string[], bundles: string): Promise<void> {
  await build({
    entryPoints: paths.map((path) => `${path}.test.ts`),
    outdir: bundles,
    outbase: '.',
    outExtension: { '.js': '.mjs' },
    ...{ bundle: true, splitting: true, platform: 'node', format: 'esm', packages: 'external', sourcemap: 'inline', logLevel: 'silent' },
  })
}

async function runMachine(bundles: string, paths: readonly string[], number: number): Promise<Run> {
  const folder = join(tmpdir(), `mgt-${process.pid}-uml${number}`)
  // The machine's memory is a file that is mapped to be executed too; /tmp may forbid that.
  const memory = `/dev/shm/${basename(folder)}`
  for (const path of [folder, memory]) mkdirSync(path)
  const init = join(folder, 'init')
  writeFileSync(init, initScript(bundles, paths), { mode: 0o755 })
  const root = ['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`]
  const console = ['con=null', 'con0=null,fd:1', 'quiet', `umid=m${number}`, `uml_dir=${folder}/`]
  try {
    const { stdout } = await tryRun(MACHINE, [LINUX, 'mem=768M', ...root, ...console], {
      timeoutMs: DEADLINE_MS,
      env: { TMPDIR: memory },
    })
    return readRun(stdout.replaceAll('\r', ''))
  } finally {
    for (const path of [folder, memory]) rmSync(path, { recursive: true, force: true })
  }
}

function readRun(output: string): Run {
  const results = new Map<string, Result>()
  for (const [, path = '', text = '', code] of output.matchAll(/^=== (src\S+)\n(.*?)^=== ended (\d+)$/gms)) {
    const [total, passed] = ['Total', 'Passed'].map((name) => Number(new RegExp(`^\\s+${name}:\\s+(\\d+)$`, 'm').exec(text)?.[1] ?? 0))
    results.set(path, { code: Number(code), total: total ?? 0, passed: passed ?? 0, output: text })
  }
  return { release: /^=== release (.*)$/m.exec(output)?.[1] ?? 'none', results, output }
}

/** Boots all machines once, when the first test asks. */
function onceRun(): () => Promise<readonly Run[]> {
  const made: { runs?: Promise<readonly Run[]> } = {}
  const bundles = resolve('.cache/test', `uml-${process.pid}`)
  const boot = async () => {
    try {
      await bundle(MACHINES.flat(), bundles)
      return await Promise.all(MACHINES.map((paths, index) => runMachine(bundles, paths, index)))
    } finally {
      rmSync(bundles, { recursive: true, force: true })
    }
  }
  return () => {
    made.runs ??= boot()
    return made.runs
  }
}

const runs = onceRun()
const missing = process.arch === 'x64' ? (existsSync(LINUX) ? '' : `there is no ${LINUX}`) : `${LINUX} is for x64, this is ${process.arch}`

if (missing !== '') {
  process.stdout.write(`skipped: the kernel suites on Linux 6.1, because ${missing}; LINUX_UML may name a User-mode Linux kernel\n`)
  test.skip('the kernel suites pass on Linux 6.1', () => undefined)
} else {
  for (const [number, paths] of MACHINES.entries()) {
    for (const path of paths) {
      test(`${path} passes on Linux 6.1`, async () => {
        const run = (await runs())[number]
        assert.ok(run?.release.startsWith('6.1.'), `booted ${run?.release}: ${run?.output.slice(-2000)}`)
        const result = run?.results.get(path)
        assert.ok(result, `did not come to its end: ${run?.output.slice(-4000)}`)
        process.stdout.write(`\n${run?.release}: ${path} ${result?.passed} of ${result?.total}\n`)
        assert.ok(result?.code === 0 && result.total > 0 && result.passed === result.total, result?.output)
      })
    }
  }
}

test.run()
