// What every script here needs: where the repository is, running a command, and saying what is done.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The repository's folder. */
export const ROOT = dirname(import.meta.dirname)

/** Where all that is made or fetched is kept, but for node_modules, dist and native/build. */
export const CACHE = join(ROOT, '.cache')

/** Debian packages that would start services are unpacked here and never installed. */
export const DEBIAN = join(CACHE, 'debian')

/** The caller's environment with a PATH that works when the caller's was bare. */
export const ENV = { ...process.env, PATH: searchPath(process.env.PATH ?? '') }

/** One clear line and the end of the program. */
export function fail(message) {
  process.stderr.write(`error: ${message}\n`)
  process.exit(1)
}

/** Runs a command to its end; its output is shown only if it fails. Gives standard output; throws with all output. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env: ENV, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('error', (error) => reject(new Error(`${command}: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}\n${stdout}${stderr}`.trimEnd()))
    })
  })
}

/** A hash over the contents and names of files and folders (recursively), so that a step runs again only when its inputs changed. */
export function hashOf(paths) {
  const hash = createHash('sha256')
  for (const path of paths) addTo(hash, join(ROOT, path))
  return hash.digest('hex')
}

/** Whether the step of this name was last done with these inputs. */
export function isStamped(name, value) {
  return readOr(join(CACHE, 'stamps', name), '') === value
}

/** Remembers that the step of this name was done with these inputs. */
export function stamp(name, value) {
  mkdirSync(join(CACHE, 'stamps'), { recursive: true })
  writeFileSync(join(CACHE, 'stamps', name), value)
}

/** Holds a lock file while the function runs; waits for another living holder, and takes the lock of a dead one. */
export async function withLock(name, action) {
  mkdirSync(CACHE, { recursive: true })
  const path = join(CACHE, `${name}.lock`)
  await takeLock(path)
  try {
    return await action()
  } finally {
    rmSync(path, { force: true })
  }
}

/** A file's text, or the given text if it can't be read. */
export function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}

/** The start time of a process in clock ticks (proc(5), stat field 22), which tells apart two processes with one id; undefined if gone. */
export function startTimeOf(pid) {
  const stat = readOr(`/proc/${pid}/stat`, '')
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

async function takeLock(path) {
  const mine = `${process.pid} ${startTimeOf(process.pid)}`
  for (;;) {
    try {
      const fd = openSync(path, 'wx')
      writeFileSync(fd, mine)
      closeSync(fd)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const [pid, start] = readOr(path, '').split(' ')
    // An empty file is one that its holder is just about to write.
    if (pid !== '' && startTimeOf(pid) !== start) rmSync(path, { force: true })
    else await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function addTo(hash, path) {
  let entries
  try {
    entries = readdirSync(path).sort()
  } catch (error) {
    if (error.code === 'ENOENT') return hash.update(`- ${path}\n`)
    return hash.update(`${path}\n`).update(readFileSync(path))
  }
  for (const entry of entries) addTo(hash, join(path, entry))
  return hash
}

function searchPath(given) {
  const folders = given.split(':').filter((folder) => folder !== '')
  for (const folder of [dirname(process.execPath), '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']) {
    if (!folders.includes(folder)) folders.push(folder)
  }
  return folders.join(':')
}
