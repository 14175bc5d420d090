// npm run lab -- acceptance [--json]: runs the scenarios of test/acceptance and says of each id whether it passed.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleHere } from './build.mjs'
import { setUp } from './setup.mjs'
import { CACHE, ROOT } from './step.mjs'
import { sweepDead } from './sweep.mjs'
import { findTests, freezeDist, runTestFile, stopAll } from './test-files.mjs'

const FOLDER = 'test/acceptance/'

/** Runs them all; gives the exit code: 0 if none of those that exist failed. */
export async function acceptance(args) {
  let isJson
  try {
    isJson = parseArgs({ args, options: { json: { type: 'boolean', default: false } } }).values.json
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`)
    return 2
  }
  const bundles = join(CACHE, 'test', String(process.pid))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stopAll().then(() => process.exit(130)))
  try {
    await setUp()
    await sweepDead()
    const { failed, passed } = await runScenarios(bundles)
    const missing = scenarioIds().filter((id) => !passed.includes(id) && !failed.includes(id))
    if (isJson) process.stdout.write(`${JSON.stringify({ passed, failed, missing })}\n`)
    else process.stdout.write(`passed: ${passed.join(' ')}\nfailed: ${failed.join(' ')}\nmissing: ${missing.join(' ')}\n`)
    return failed.length === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`)
    return 1
  } finally {
    rmSync(bundles, { recursive: true, force: true })
  }
}

/** All ids, in the order of test/acceptance/scenarios.md. */
export function scenarioIds() {
  const text = readFileSync(join(ROOT, FOLDER, 'scenarios.md'), 'utf8')
  return [...text.matchAll(/^- \*\*([A-Z]+-\d+)\*\*/gm)].map((match) => match[1])
}

async function runScenarios(bundles) {
  const files = findTests().filter(({ path }) => path.startsWith(FOLDER))
  await bundleHere(
    files.map(({ path }) => path),
    bundles,
  )
  freezeDist(bundles)
  const verdicts = new Map()
  for (const { path, timeoutS } of files) {
    const result = await runTestFile({ path, bundle: join(bundles, path.replace(/\.ts$/, '.mjs')), timeoutS })
    for (const [id, isPassed] of judge(readFileSync(join(ROOT, path), 'utf8'), result)) {
      verdicts.set(id, isPassed && verdicts.get(id) !== false)
      process.stdout.write(`${isPassed ? 'passed' : 'FAILED'} ${id} (${path}, ${(result.ms / 1000).toFixed(1)} s)\n`)
    }
    if (result.failed > 0) process.stdout.write(`${result.output.replace(/^/gm, '  | ')}\n`)
  }
  const ids = scenarioIds()
  const of = (wanted) => ids.filter((id) => verdicts.get(id) === wanted)
  return { passed: of(true), failed: of(false) }
}

/** Each id that a file's titles begin with, and whether all of its tests passed. A file that broke off passes none of them. */
export function judge(source, { failed, output }) {
  const ids = [...source.matchAll(/\btest\(\s*['"`]([A-Z]+-\d+)\b/g)].map((match) => match[1])
  const failing = [...output.matchAll(/^\s*FAIL\s+\S+\s+"([A-Z]+-\d+)?.*"$/gm)].map((match) => match[1])
  const hasBrokenOff = failed > failing.length
  return new Map(ids.map((id) => [id, !hasBrokenOff && !failing.includes(id)]))
}
