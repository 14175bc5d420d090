// Finds test files and runs each in a process of its own.
// uvu alone is not strict enough: it ends with 0 when a hook throws, when `run` was forgotten and when no test ran, and
// it waits for ever for a test that hangs. Here a file passes only if it ends by itself with 0 and all of its tests passed.
import { spawn } from 'node:child_process'
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ENV, ROOT } from './step.mjs'
import { sweepDead } from './sweep.mjs'

const FOLDERS = ['src', 'test', 'bench', 'scripts']
const TIMEOUT_S = 120
const groups = new Set()

/** All test files; comments in the first lines say what a file needs: `// runs alone`, `// at most 300 s`. */
export function findTests() {
  const paths = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true }).map((name) => join(folder, name)))
  return paths
    .filter((path) => path.endsWith('.test.ts'))
    .sort()
    .map((path) => {
      const head = readFileSync(join(ROOT, path), 'utf8').split('\n', 5).join('\n')
      const timeoutS = Number(/^\/\/ at most (\d+) s$/m.exec(head)?.[1] ?? TIMEOUT_S)
      return { path, isAlone: /^\/\/ runs alone$/m.test(head), timeoutS }
    })
}

/** Keeps dist/ as it is now for the labs of this run: a build in another shell must not change what is tested half-way. */
export function freezeDist(folder) {
  const frozen = join(folder, 'dist')
  cpSync(join(ROOT, 'dist'), frozen, { recursive: true, filter: (path) => !path.endsWith('.deb') })
  process.env.LAB_DIST = frozen
  ENV.LAB_DIST = frozen
}

/** Runs a bundled test file and judges how it ended: how many tests passed, failed and were skipped, and all it printed. */
export async function runTestFile({ path, bundle, timeoutS, isLong }) {
  const started = performance.now()
  const { code, output, isTimeout, pid } = await runGroup(process.execPath, ['--enable-source-maps', bundle], { timeoutS, isLong })
  const left = (await sweepDead()).filter((name) => name.startsWith(`mgt-${pid}-`))
  const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map((name) => sumOf(output, name))
  const faults = []
  if (isTimeout) faults.push(`did not end within ${timeoutS} s`)
  else if (code !== 0 && total === passed) faults.push(`ended with ${code} although no test failed`)
  if (total + skipped === 0) faults.push('ran no test: is the call of run missing, or did a hook throw?')
  if (left.length > 0) faults.push(`left behind: ${left.join(' ')}`)
  const failed = total - passed + (total === passed && faults.length > 0 ? 1 : 0)
  return { path, passed, failed, skipped, output: [output.trimEnd(), ...faults].join('\n'), ms: performance.now() - started }
}

/** Runs a program in a process group of its own and kills the whole group at the deadline, and what remains of it at the end. */
export function runGroup(command, args, { timeoutS, isLong }) {
  const env = Object.fromEntries(Object.entries(ENV).filter(([name]) => !name.startsWith('MARGAY_') && name !== 'FORCE_COLOR'))
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...env, NO_COLOR: '1', ...(isLong ? { TEST_LONG: '1' } : {}) },
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
    const keep = (chunk) => {
      output += chunk
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    // A process that outlives the test would hold its pipes open, and with them this promise.
    child.on('exit', () => killGroup(child.pid))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      groups.delete(child.pid)
      resolve({ code: signal ?? code, output, isTimeout, pid: child.pid })
    })
  })
}

/** Kills all that runs, and takes away what it made. */
export async function stopAll() {
  const deadline = performance.now() + 3000
  for (const pid of groups) killGroup(pid)
  while (groups.size > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
  await sweepDead()
}

/** uvu prints one such line for each suite of a file. */
function sumOf(output, name) {
  return [...output.matchAll(new RegExp(`^\\s+${name}:\\s+(\\d+)$`, 'gm'))].reduce((sum, match) => sum + Number(match[1]), 0)
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}
