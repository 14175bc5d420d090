#!/usr/bin/env node
/**
 * Builds the add-on native/margay.c with the C compiler alone: `node scripts/native.mjs [--arch x64|arm64] [--force]`.
 *
 * Skips what is up to date (a hash over source, flags and compiler stands beside the result). The same source and compiler
 * give the same bytes: no path, no time and no build id goes in. Another architecture than the machine's needs a cross
 * compiler (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross).
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = path.join(import.meta.dirname, '..')
const SOURCE = 'native/margay.c'
const COMPILERS = {
  x64: { command: 'x86_64-linux-gnu-gcc', machine: 'x86-64', packages: 'gcc libc6-dev libuv1-dev' },
  arm64: { command: 'aarch64-linux-gnu-gcc', machine: 'AArch64', packages: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross libuv1-dev' },
}
const FLAGS = [
  '-std=c11',
  '-O2',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-DNAPI_VERSION=8',
  '-ffile-prefix-map=.=.',
  '-g0',
  '-s',
  '-Wl,-z,noexecstack',
  '-Wl,-z,relro',
  '-Wl,-z,now',
  '-Wl,--build-id=none',
  '-Wl,-soname,margay.node',
]

/** Ends with one line that says what is wrong and what would cure it. */
function fail(message) {
  console.error(`native: ${message}`)
  process.exit(1)
}

/** The compiler for this architecture: $CC, the one with the triplet's name, or plain `cc` for the machine's own. */
function findCompiler(arch) {
  const candidates = arch === process.arch ? [process.env.CC, COMPILERS[arch].command, 'cc', 'gcc'] : [COMPILERS[arch].command]
  for (const command of candidates.filter(Boolean)) {
    try {
      return {
        command,
        version: execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n')[0],
      }
    } catch {} // not there: the next one
  }
  return fail(`no C compiler for ${arch}: apt-get install ${COMPILERS[arch].packages}`)
}

/** The compiler's arguments; libuv's headers are the same for every architecture, so they may come from /usr/include. */
function compilerArguments(output) {
  const nodeApi = 'node_modules/node-api-headers/include'
  if (!existsSync(path.join(ROOT, nodeApi, 'node_api.h'))) fail('node-api-headers is not there: run npm ci')
  const uv = ['/usr/include', '/usr/include/node', '/usr/local/include/node'].find((folder) => existsSync(path.join(folder, 'uv.h')))
  if (!uv) fail("libuv's header uv.h is not there: apt-get install libuv1-dev")
  return [...FLAGS, '-isystem', nodeApi, '-idirafter', uv, SOURCE, '-o', output]
}

function build(arch, isForced) {
  const output = `native/build/linux-${arch}.node`
  const compiler = findCompiler(arch)
  const hash = createHash('sha256')
  for (const part of [readFileSync(path.join(ROOT, SOURCE)), FLAGS.join(' '), compiler.version]) hash.update(part)
  const wanted = hash.digest('hex')
  const stamp = path.join(ROOT, `${output}.sha256`)
  const isCurrent = existsSync(path.join(ROOT, output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
  if (isCurrent && !isForced) return console.log(`native: ${output} is up to date`)
  mkdirSync(path.join(ROOT, 'native/build'), { recursive: true })
  const temporary = `${output}.${process.pid}.tmp`
  try {
    execFileSync(compiler.command, compilerArguments(temporary), { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  } catch (error) {
    fail(`${compiler.command} could not build ${SOURCE} (${error.message.split('\n')[0]})`)
  }
  // In one step: a running process that has the old file mapped must not see it change.
  renameSync(path.join(ROOT, temporary), path.join(ROOT, output))
  writeFileSync(stamp, wanted)
  console.log(`native: built ${output} with ${compiler.command}`)
}

const { values } = parseArgs({ options: { arch: { type: 'string', default: process.arch }, force: { type: 'boolean', default: false } } })
if (!(values.arch in COMPILERS)) fail(`--arch is ${Object.keys(COMPILERS).join(' or ')}, not ${JSON.stringify(values.arch)}`)
build(values.arch, values.force)
