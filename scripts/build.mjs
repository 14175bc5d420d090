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
    define: { 'process.env.MARGAY_VERSION': JSON.stringify(version) },
    logLevel: 'silent',
  }
}

/** Builds dist/margayd.js and dist/margay.js, each with all its dependencies but the native add-on. */
export async function build() {
  const entries = Object.entries(ENTRIES).filter(([, path]) => existsSync(join(ROOT, path)))
  await bundle({
    entryPoints: Object.fromEntries(entries),
    outdir: 'dist',
    sourcemap: true,
    // jsonc-parser's main is UMD, whose require esbuild cannot see through: the bundle would look for ./impl/format beside itself.
    alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
    // Bundled CommonJS packages call require, which an ES module does not have.
    banner: {
      js: `#!/usr/bin/env -S node ${NODE_FLAGS.join(' ')}\nimport { createRequire as __createRequire } from 'node:module'\nconst require = __createRequire(import.meta.url)`,
    },
  })
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
