// Bundles the daemon and the command line into dist/, one file each.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NODE_FLAGS } from './node-flags.mjs'
import { ROOT } from './step.mjs'

/** What a build depends on, below the repository. */
export const BUILD_INPUTS = ['src', 'package.json', 'package-lock.json', 'scripts/build.mjs', 'scripts/node-flags.mjs']

const ENTRIES = { margayd: 'src/daemon/main.ts', margay: 'src/cli/main.ts' }

/** Whether everything that a build makes is there. */
export function isBuilt() {
  return Object.entries(ENTRIES).every(([name, path]) => !existsSync(join(ROOT, path)) || existsSync(join(ROOT, 'dist', `${name}.js`)))
}

/** Options of every bundle: the daemon, the command line, tests, lab and benches. */
export function bundleOptions() {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  return {
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    define: defineVersion(version),
    logLevel: 'silent',
  }
}

/**
 * Builds margayd.js and margay.js, each with all its dependencies but the native add-on: into dist/, or for a package with its own
 * version and the Node that it brings. Gives the names of the npm packages that are in them, sorted.
 */
export async function build({ outdir = 'dist', interpreter = '/usr/bin/env -S node', version, sourcemap = true } = {}) {
  const entries = Object.entries(ENTRIES).filter(([, path]) => existsSync(join(ROOT, path)))
  const { metafile } = await bundle({
    entryPoints: Object.fromEntries(entries),
    outdir,
    sourcemap,
    metafile: true,
    ...(version === undefined ? {} : { define: defineVersion(version) }),
    // jsonc-parser's main is UMD, whose require esbuild cannot see through: the bundle would look for ./impl/format beside itself.
    alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
    // Bundled CommonJS packages call require, which an ES module does not have.
    banner: {
      js: `#!${[interpreter, ...NODE_FLAGS].join(' ')}\nimport { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)`,
    },
  })
  const modules = Object.keys(metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [])
  return [...new Set(modules)].sort()
}

/** Bundles TypeScript for this machine only, with packages left in node_modules: for tests, lab and benches. */
export function bundleHere(entryPoints, outdir) {
  return bundle({
    entryPoints,
    outdir,
    outbase: '.',
    splitting: true,
    packages: 'external',
    sourcemap: 'inline',
    outExtension: { '.js': '.mjs' },
  })
}

function defineVersion(version) {
  return { 'process.env.MARGAY_VERSION': JSON.stringify(version) }
}

/** Bundles; errors come with file, line and column, one a line. Imported late: set-up starts before esbuild is installed. */
async function bundle(options) {
  const esbuild = await import('esbuild')
  try {
    return await esbuild.build({ ...bundleOptions(), ...options })
  } catch (error) {
    const lines = (error.errors ?? []).map(({ text, location }) => `${location?.file}:${location?.line}:${location?.column}: ${text}`)
    throw new Error(lines.length > 0 ? lines.join('\n') : error.message)
  }
}

if (process.argv[1] === import.meta.filename) await build()
