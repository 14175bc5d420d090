// npm test [-- PATTERN…] [--jobs N] [--long]: set-up, types, lint, then every test file whose path matches.
// `types`, `lint` and `only` can be asked for by pattern too.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleHere } from './build.mjs'
import { checkNamespaces, setUp } from './setup.mjs'
import { CACHE, fail, ROOT } from './step.mjs'
import { sweepDead } from './sweep.mjs'
import { findTests, freezeDist, runGroup, runTestFile, stopAll } from './test-files.mjs'

const LONG_TIMEOUT_S = 3600
const SLOW_MS = 5000
const bundles = join(CACHE, 'test', String(process.pid))
const totals = { passed: 0, failed: 0, skipped: 0, failures: [], times: [] }

/** Checks that are no test files; each counts as one test, passed if it gives no words. */
const CHECKS = [
  { name: 'types', run: () => runModule('node_modules/typescript/bin/tsc', ['--noEmit']) },
  {
    name: 'lint',
    run: () => runModule('node_modules/@biomejs/biome/bin/biome', ['check', '--max-diagnostics=100', '--error-on-warnings']),
  },
  { name: 'only', run: async () => findOnly() },
]

async function main({ patterns, jobs, isLong }) {
  const fault = await setUp({ isBuildNeeded: false })
  await checkNamespaces()
  for (const name of await sweepDead()) process.stdout.write(`swept what an earlier run left: ${name}\n`)
  const matches = (name) => patterns.length === 0 || patterns.some((pattern) => new RegExp(pattern).test(name))
  const files = findTests().filter((file) => matches(file.path))
  const checks = CHECKS.filter((check) => matches(check.name))
  if (files.length + checks.length === 0) fail(`no test file matches ${patterns.join(' ')}`)
  for (const check of checks) await runCheck(check)
  // Somebody who asked for one suite wants to see it run although something else can't be bundled.
  if (fault !== undefined) count({ path: 'build', passed: 0, failed: patterns.length === 0 ? 1 : 0, skipped: 0, output: fault, ms: 0 })
  await bundleHere(
    files.map((file) => file.path),
    bundles,
  )
  freezeDist(bundles)
  await runAll(files, { jobs, isLong })
  report()
}

async function runCheck({ name, run }) {
  const started = performance.now()
  const output = await run()
  count({ path: name, passed: output === '' ? 1 : 0, failed: output === '' ? 0 : 1, skipped: 0, output, ms: performance.now() - started })
}

/** Runs a module's program; gives its output if it failed, else nothing. */
async function runModule(path, args) {
  const { code, output } = await runGroup(process.execPath, [path, ...args], { timeoutS: LONG_TIMEOUT_S })
  return code === 0 ? '' : output || `ended with ${code}`
}

/** Tests that would silently leave all others of their suite out. */
function findOnly() {
  const isLeft = ({ path }) => /^\s*\w+\.only\(/m.test(readFileSync(join(ROOT, path), 'utf8'))
  return findTests()
    .filter(isLeft)
    .map(({ path }) => `${path}: .only( leaves other tests out`)
    .join('\n')
}

async function runAll(files, { jobs, isLong }) {
  const runOne = async ({ path, timeoutS }) => {
    const bundle = join(bundles, path.replace(/\.ts$/, '.mjs'))
    const result = await runTestFile({ path, bundle, timeoutS: isLong ? LONG_TIMEOUT_S : timeoutS, isLong })
    count(result)
    // The long form is run for the figures that tests print.
    if (isLong && result.failed === 0) process.stdout.write(`${result.output.replace(/^/gm, '  | ')}\n`)
  }
  const queue = files.filter((file) => !file.isAlone)
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runOne(file)
  }
  await Promise.all(Array.from({ length: jobs }, work))
  for (const file of files.filter((one) => one.isAlone)) await runOne(file)
}

function count({ path, passed, failed, skipped, output, ms }) {
  totals.passed += passed
  totals.failed += failed
  totals.skipped += skipped
  totals.times.push({ path, ms })
  process.stdout.write(`${failed > 0 ? 'FAIL' : 'ok  '} ${path} ${passed}/${passed + failed} ${Math.round(ms)} ms\n`)
  // What a test says about itself when it leaves something out.
  for (const line of skipped > 0 ? (output.match(/^skipped: .*$/gm) ?? []) : []) process.stdout.write(`${line}\n`)
  if (failed > 0) totals.failures.push(path)
  if (failed > 0 || path === 'build') process.stdout.write(`${output.replace(/^/gm, '  | ')}\n`)
}

function report() {
  const slow = totals.times.filter(({ ms }) => ms > SLOW_MS).sort((a, b) => b.ms - a.ms)
  for (const { path, ms } of slow.slice(0, 15)) process.stdout.write(`slow: ${path} ${(ms / 1000).toFixed(1)} s\n`)
  for (const path of totals.failures) process.stdout.write(`failed: ${path}\n`)
  if (totals.skipped > 0) process.stdout.write(`${totals.skipped} skipped\n`)
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
  process.exitCode = totals.failed === 0 ? 0 : 1
}

/** What was asked for on the command line. */
function readArgs() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { jobs: { type: 'string', default: '2' }, long: { type: 'boolean', default: false } },
    })
    if (!/^[1-9]\d?$/.test(values.jobs)) fail(`--jobs ${JSON.stringify(values.jobs)}: it is a number from 1 to 99`)
    for (const pattern of positionals) RegExp(pattern)
    return { patterns: positionals, jobs: Number(values.jobs), isLong: values.long }
  } catch (error) {
    return fail(error.message)
  }
}

const args = readArgs()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await stopAll()
    rmSync(bundles, { recursive: true, force: true })
    process.stderr.write(`stopped by ${signal}\n`)
    process.exit(130)
  })
}
try {
  await main(args)
} catch (error) {
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
} finally {
  rmSync(bundles, { recursive: true, force: true })
}
