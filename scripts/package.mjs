// npm run package [-- --version V] [--output FOLDER] [--fast]: writes dist/margay_<version>_<architecture>.deb, the same bytes for the
// same commit; --fast leaves out compression, which takes most of the time.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ARCHITECTURE, debianVersion, installControl, installDocuments } from './package-control.mjs'
import { installFiles, settleFiles } from './package-files.mjs'
import { setUp } from './setup.mjs'
import { CACHE, fail, ROOT, run } from './step.mjs'

/**
 * Builds the package from this tree and gives the path of the file. `version` is package.json's unless told otherwise, for a rebuilt
 * package to upgrade to.
 */
export async function buildPackage({ version, output = join(ROOT, 'dist'), isFast = false }) {
  const wanted = version ?? JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version
  const epochS = await sourceDate()
  mkdirSync(join(CACHE, 'package'), { recursive: true })
  mkdirSync(output, { recursive: true })
  sweepDrafts()
  const folder = mkdtempSync(join(CACHE, 'package', `${process.pid}-`))
  const root = join(folder, 'root')
  // Beside its place: a rename does not cross file systems.
  const draft = join(output, `.margay-${process.pid}.deb`)
  try {
    mkdirSync(root)
    const modules = await installFiles(root, wanted)
    installDocuments(root, { version: wanted, modules, epochS })
    settleFiles(root, epochS)
    const kib = await installControl(root, wanted)
    // xz: Debian 12's dpkg takes zstd too, but the file would be larger.
    const compression = isFast ? '-Znone' : '-Zxz'
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochS) }
    await run('dpkg-deb', ['--root-owner-group', compression, '--build', root, draft], { env })
    const file = join(output, `margay_${debianVersion(wanted)}_${ARCHITECTURE}.deb`)
    renameSync(draft, file)
    return { file, kib }
  } finally {
    rmSync(folder, { recursive: true, force: true })
    rmSync(draft, { force: true })
    rmSync(join(CACHE, 'package', String(process.pid)), { recursive: true, force: true })
  }
}

/** Takes away what builds that were killed have left: 110 MB each. */
function sweepDrafts() {
  for (const name of readdirSync(join(CACHE, 'package'))) {
    if (!existsSync(`/proc/${name.split('-')[0]}`)) rmSync(join(CACHE, 'package', name), { recursive: true, force: true })
  }
}

/** The time that all files get: SOURCE_DATE_EPOCH, or that of the last commit. Seconds. */
async function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH
  if (given !== undefined && /^\d+$/.test(given)) return Number(given)
  if (given !== undefined) fail(`SOURCE_DATE_EPOCH is ${JSON.stringify(given)}: it is a number of seconds since 1970`)
  const text = await run('git', ['log', '-1', '--format=%ct']).catch(() => fail('this is no git checkout: set SOURCE_DATE_EPOCH'))
  return Number(text.trim())
}

async function warnIfChanged() {
  const changed = await run('git', ['status', '--porcelain', '--untracked-files=no']).catch(() => '')
  if (changed !== '') process.stdout.write('note: files differ from the last commit, and so will the package\n')
}

function readArgs() {
  try {
    const { values } = parseArgs({
      options: { version: { type: 'string' }, output: { type: 'string' }, fast: { type: 'boolean', default: false } },
    })
    if (values.version !== undefined && !/^\d[A-Za-z0-9.+~-]*$/.test(values.version)) {
      fail(`--version ${JSON.stringify(values.version)}: it begins with a digit and has letters, digits and . + ~ -`)
    }
    return { version: values.version, isFast: values.fast, ...(values.output === undefined ? {} : { output: resolve(values.output) }) }
  } catch (error) {
    return fail(error.message)
  }
}

if (process.argv[1] === import.meta.filename) {
  const args = readArgs()
  await setUp().catch((error) => fail(`set-up: ${error.message}`))
  await warnIfChanged()
  const { file, kib } = await buildPackage(args).catch((error) => fail(error.message))
  const size = (statSync(file).size / 1e6).toFixed(1)
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex')
  process.stdout.write(`${relative(ROOT, file)}: ${size} MB, unpacked ${(kib / 1024).toFixed(0)} MiB\nsha256 ${sum}\n`)
}
