// Runs a TypeScript entry of lab, demo or bench in this process, after set-up, and takes away all that it made however it ends.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundleHere } from './build.mjs'
import { checkNamespaces, setUp } from './setup.mjs'
import { CACHE, fail, ROOT } from './step.mjs'
import { sweepDead, sweepPrefix } from './sweep.mjs'

/** Calls the `main` of a TypeScript file with these arguments and ends with the exit code that it gives. */
export async function launch(entry, args) {
  process.chdir(ROOT)
  const bundles = join(CACHE, 'run', String(process.pid))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => end(bundles, 130))
  try {
    await setUp()
    await checkNamespaces()
    await sweepDead()
    mkdirSync(bundles, { recursive: true })
    await bundleHere([entry], bundles)
    const { main } = await import(join(bundles, entry.replace(/\.ts$/, '.mjs')))
    await end(bundles, await main(args))
  } catch (error) {
    process.stderr.write(`error: ${messageOf(error)}\n`)
    await end(bundles, error.code === 'USAGE' ? 2 : 1)
  }
}

async function end(bundles, code) {
  await sweepPrefix(`mgt-${process.pid}-`)
  rmSync(bundles, { recursive: true, force: true })
  process.exit(code)
}

/** The message with those of its causes. */
function messageOf(error) {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${messageOf(error.cause)}`
}

if (process.argv[1] === import.meta.filename) fail('launch.mjs is started by demo.mjs, lab.mjs and bench.mjs')
