// npm test [-- PATTERN…] [--jobs N] [--long]: set-up, types, lint, then every test file in a process of its own.
// uvu alone is not strict enough: it ends with 0 when a hook throws, when `run` was forgotten and when no test ran, and
// it waits for ever for a test that hangs. Here a file passes only if it ends by itself with 0 and all of its tests passed.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleHere } from './build.mjs'
import { setUp } from './setup.mjs'
import { CACHE, ENV, fail, ROOT } from './step.mjs'
import { sweepDead } from './sweep.mjs'

const FOLDERS = ['src', 'test', 'bench', 'scripts']
const TIMEOUT_S = 120
const LONG_TIMEOUT_S = 3600
const SLOW_MS = 5000
const bundles = join(CACHE, 'test', String(process.pid))
const groups = new Set()
const totals = { passed: 0, failed: 0, skipped: 0, failures: [], times: [] }

const { values: options, positionals: patterns } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string', default: '2' }, long: { type: 'boolean', default: false } },
})

async function main() {
  const fault = await setUp({ isBuildNeeded: false })
  for (const name of await sweepDead()) process.stdout.write(`swept what an earlier run left: ${name}\n`)
  const matches = (name) => patterns.length === 0 || patterns.some((pattern) => new RegExp(pattern).test(name))
  const files = findTests().filter((file) => matches(file.path))
  const checks = CHECKS.filter((check) => matches(check.name))
  if (files.length + checks.length === 0) fail(`no test file matches ${patterns.join(' ') || 'src test bench scripts'}`)
  for (const check of checks) await runCheck(check)
  if (fault !== undefined) count({ path: 'build', passed: 0, failed: patterns.length === 0 ? 1 : 0, skipped: 0, output: fault, ms: 0 })
  await bundleHere(
    files.map((file) => file.path),
    bundles,
  )
  await runAll(files)
  report()
}

/** Checks that are no test files; each counts as one test. */
const CHECKS = [
  { name: 'types', run: () => runModule('node_modules/typescript/bin/tsc', ['--noEmit']) },
  { name: 'lint', run: () => runModule('node_modules/@biomejs/biome/bin/biome', ['check', '--max-diagnostics=100']) },
  { name: 'only', run: async () => findOnly() },
]

async function runCheck({ name, run }) {
  const started = performance.now()
  const output = await run()
  count({ path: name, passed: output === '' ? 1 : 0, failed: output === '' ? 0 : 1, skipped: 0, output, ms: performance.now() - started })
}

/** Runs a module's program; gives its output if it failed, else nothing. */
async function runModule(path, args) {
  const { code, output } = await runGroup(process.execPath, [path, ...args], LONG_TIMEOUT_S)
  return code === 0 ? '' : output || `ended with ${code}`
}

/** Tests that would silently leave all others of their suite out. */
function findOnly() {
  const isLeft = (path) => /^\s*\w+\.only\(/m.test(readFileSync(join(ROOT, path), 'utf8'))
  const left = findTests().filter((file) => isLeft(file.path))
  return left.map((file) => `${file.path}: .only( leaves other tests out`).join('\n')
}

/** All test files; comments in the first lines say what a file needs: `// runs alone`, `// at most 300 s`. */
function findTests() {
  const paths = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(folder, name)))
  return paths
    .filter((path) => path.endsWith('.test.ts'))
    .sort()
    .map((path) => {
      const head = readFileSync(join(ROOT, path), 'utf8').split('\n', 5).join('\n')
      const seconds = Number(/^\/\/ at most (\d+) s$/m.exec(head)?.[1] ?? TIMEOUT_S)
      return { path, isAlone: /^\/\/ runs alone$/m.test(head), timeoutS: options.long ? LONG_TIMEOUT_S : seconds }
    })
}

async function runAll(files) {
  const jobs = Math.max(1, Number(options.jobs) || 1)
  const queue = files.filter((file) => !file.isAlone)
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file)
  }
  await Promise.all(Array.from({ length: jobs }, work))
  for (const file of files.filter((one) => one.isAlone)) await runFile(file)
}

async function runFile({ path, timeoutS }) {
  const started = performance.now()
  const bundle = join(bundles, path.replace(/\.ts$/, '.mjs'))
  const { code, output, isTimeout, pid } = await runGroup(process.execPath, ['--enable-source-maps', bundle], timeoutS)
  const left = (await sweepDead()).filter((name) => name.startsWith(`mgt-${pid}-`))
  const number = (name) =>
    Number(output.match(new RegExp(`^\\s+${name}:\\s+(\\d+)`, 'gm'))?.reduce((sum, line) => sum + Number(/\d+$/.exec(line)), 0) ?? 0)
  const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map(number)
  const faults = []
  if (isTimeout) faults.push(`did not end within ${timeoutS} s`)
  else if (code !== 0 && total === passed) faults.push(`ended with ${code} although no test failed`)
  if (total + skipped === 0) faults.push('ran no test: is the call of run missing, or did a hook throw?')
  if (left.length > 0) faults.push(`left behind: ${left.join(' ')}`)
  const failed = total - passed + (total === passed && faults.length > 0 ? 1 : 0)
  count({ path, passed, failed, skipped, output: [output.trimEnd(), ...faults].join('\n'), ms: performance.now() - started })
}

/** Runs a program in a process group of its own and kills the whole group at the deadline, and what remains of it at the end. */
function runGroup(command, args, timeoutS) {
  const env = Object.fromEntries(Object.entries(ENV).filter(([name]) => !name.startsWith('MARGAY_') && name !== 'FORCE_COLOR'))
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...env, NO_COLOR: '1', ...(options.long ? { TEST_LONG: '1' } : {}) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    groups.add(child.pid)
    let output = ''
    let isTimeout = false
    const timer = setTimeout(() => {
      isTimeout = true
      killGroup(child.pid)
    }, timeoutS * 1000)
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    // A process that outlives the test would hold its pipes open, and with them this promise.
    child.on('exit', () => killGroup(child.pid))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      groups.delete(child.pid)
      resolve({ code: signal ?? code, output, isTimeout, pid: child.pid })
    })
  })
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}

function count({ path, passed, failed, skipped, output, ms }) {
  totals.passed += passed
  totals.failed += failed
  totals.skipped += skipped
  totals.times.push({ path, ms })
  process.stdout.write(`${failed > 0 ? 'FAIL' : 'ok  '} ${path} ${passed}/${passed + failed} ${Math.round(ms)} ms\n`)
  if (failed > 0) totals.failures.push(path)
  if (failed > 0 || path === 'build') process.stdout.write(`${output.replace(/^/gm, '  | ')}\n`)
}

function report() {
  const slow = totals.times.filter(({ ms }) => ms > SLOW_MS).sort((a, b) => b.ms - a.ms)
  for (const { path, ms } of slow.slice(0, 10)) process.stdout.write(`slow: ${path} ${(ms / 1000).toFixed(1)} s\n`)
  for (const path of totals.failures) process.stdout.write(`failed: ${path}\n`)
  if (totals.skipped > 0) process.stdout.write(`${totals.skipped} skipped\n`)
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
  process.exitCode = totals.failed === 0 ? 0 : 1
}

async function stop(signal) {
  for (const pid of groups) killGroup(pid)
  await new Promise((resolve) => setTimeout(resolve, 100))
  await sweepDead()
  rmSync(bundles, { recursive: true, force: true })
  process.stderr.write(`stopped by ${signal}\n`)
  process.exit(130)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal))
try {
  await main()
} catch (error) {
  fail(error.message)
} finally {
  rmSync(bundles, { recursive: true, force: true })
}
