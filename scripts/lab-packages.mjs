// The packages that the lab's machines install: this tree's, and the same as a later version to upgrade to. Made once for each state
// of the tree and kept under .cache/. Prints their paths and versions as JSON.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { BUILD_INPUTS } from './build.mjs'
import { buildPackage } from './package.mjs'
import { CACHE, fail, hashOf, ROOT, run, withLock } from './step.mjs'

const INPUTS = [...BUILD_INPUTS, 'scripts', 'packaging', 'systemd', 'native', 'config.example.json', 'CHANGELOG.md', 'LICENSE']

const KEPT_MS = 15 * 60_000

/** Gives `current` and `next`, each with its file and version; takes 6 s when the tree has changed. */
async function labPackages() {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const versions = { current: version, next: `${version}+next` }
  const commit = await run('git', ['rev-parse', 'HEAD']).catch(() => '')
  const folder = join(CACHE, `lab-packages-${hashOf(INPUTS).slice(0, 12)}-${commit.slice(0, 12)}`)
  return withLock('lab-packages', async () => {
    if (!existsSync(folder)) await buildAll(folder, versions)
    const fileOf = (name) => join(folder, name, readdirSync(join(folder, name))[0])
    return Object.fromEntries(Object.entries(versions).map(([name, version]) => [name, { file: fileOf(name), version }]))
  })
}

async function buildAll(folder, versions) {
  for (const old of readdirSync(CACHE).filter((name) => name.startsWith('lab-packages-'))) {
    // Tests that run now may install what was made of the tree as it was when they began.
    if (Date.now() - statSync(join(CACHE, old)).mtimeMs > KEPT_MS) rmSync(join(CACHE, old), { recursive: true, force: true })
  }
  const draft = `${folder}.half`
  rmSync(draft, { recursive: true, force: true })
  for (const [name, version] of Object.entries(versions)) await buildPackage({ version, output: join(draft, name), isFast: true })
  renameSync(draft, folder)
}

if (process.argv[1] === import.meta.filename) {
  const made = await labPackages().catch((error) => fail(error.message))
  process.stdout.write(`${JSON.stringify(made)}\n`)
}
