import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const test = suite('test/architecture')

const MOST_LINES = 400

/** Whom each folder of src may import, ARCHITECTURE.md section 2; itself, `errors.ts` and `log.ts` are always permitted. */
const PERMITTED: Readonly<Record<string, readonly string[]>> = {
  net: [],
  model: ['net'],
  config: ['model', 'net'],
  store: ['model', 'net'],
  ipam: ['store', 'model', 'net'],
  encap: ['model', 'net', 'kernel/objects.ts'],
  routing: ['model', 'net', 'kernel/objects.ts', 'encap'],
  policy: ['model', 'net', 'kernel/objects.ts'],
  workloads: ['model', 'net', 'kernel/objects.ts'],
  questions: ['model', 'net', 'kernel/objects.ts', 'encap', 'routing', 'policy', 'workloads'],
  plugins: ['ipam', 'store', 'model', 'net'],
  kernel: ['net'],
  reconcile: ['kernel', 'net'],
  observe: ['kernel', 'model', 'net'],
  daemon: [
    ...['net', 'model', 'store', 'ipam', 'encap', 'routing', 'policy', 'workloads', 'questions', 'plugins', 'kernel', 'reconcile'],
    'observe',
    ...['config', 'config.ts'],
  ],
  cli: ['ipam', 'store', 'encap', 'routing', 'policy', 'workloads', 'questions', 'model', 'net', 'config.ts'],
}

/** Files beside the folders, and what each may import of ours. */
const TOP_FILES: Readonly<Record<string, readonly string[]>> = {
  'config.ts': ['config'],
  'errors.ts': [],
  'log.ts': [],
}

/** Folders whose files compute only: no clock, no waiting, nothing of the system. */
const PURE = ['net', 'encap', 'routing', 'policy', 'workloads', 'questions']

const sources = findSources('src')
const texts = new Map(sources.map((path) => [path, readFileSync(path, 'utf8')]))
const importsOf = new Map([...texts].map(([path, text]) => [path, findImports(path, text)]))
const shipped = sources.filter((path) => !/\.(test|compliance)\.ts$/.test(path))

test('src holds the folders of the plan and no others', () => {
  const folders = readdirSync('src').filter((name) => statSync(join('src', name)).isDirectory())
  assert.equal(
    folders.filter((name) => PERMITTED[name] === undefined),
    [],
    'a new folder of src needs its row in this test and in ARCHITECTURE.md',
  )
  const files = readdirSync('src').filter((name) => !statSync(join('src', name)).isDirectory() && !name.endsWith('.test.ts'))
  assert.equal(
    files.filter((name) => TOP_FILES[name] === undefined),
    [],
    'a new file beside the folders needs its row in this test',
  )
})

test('every import of ours is one that the table permits', () => {
  const broken = shipped.flatMap((path) =>
    (importsOf.get(path) ?? []).flatMap((target) => (isPermitted(path, target) ? [] : [`${path} imports ${target}`])),
  )
  assert.equal(broken, [])
})

test('imports go to files that are there, with their ending', () => {
  const broken = sources.flatMap((path) =>
    (importsOf.get(path) ?? []).flatMap((target) => (isFile(target) ? [] : [`${path} imports ${target}`])),
  )
  assert.equal(broken, [])
})

test('no file imports itself through others', () => {
  assert.equal(findCycles(), [])
})

test('pure folders have no clock, no waiting and no access to the system', () => {
  const impure =
    /^import (?!\{ isDeepStrictEqual \}).* from 'node:(?!net'|crypto')|\bawait\b|\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bMath\.random\(|\bsetTimeout\(/m
  const isPure = (path: string) => PURE.includes(folderOf(path))
  const broken = shipped.filter(isPure).flatMap((path) => {
    const found = impure.exec(withoutComments(texts.get(path) ?? ''))
    return found === null ? [] : [`${path}: ${found[0]}`]
  })
  assert.equal(broken, [])
})

test('no file is longer than a reader can keep in mind', () => {
  const paths = [...sources, ...findSources('scripts'), ...findSources('test'), ...findSources('bench')]
  const long = paths
    .map((path) => ({ path, lines: readFileSync(path, 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > MOST_LINES)
  assert.equal(
    long.map(({ path, lines }) => `${path}: ${lines} lines, ${MOST_LINES} are the most`),
    [],
  )
})

test('there are no default exports and no index files', () => {
  const broken = sources.filter((path) => path.endsWith('/index.ts') || /^export default\b/m.test(texts.get(path) ?? ''))
  assert.equal(broken, [])
})

test('nothing names a path of the machine it was written on', () => {
  const broken = sources.filter((path) => /\/(?:root|home|work|tmp\/g)\//.test(texts.get(path) ?? ''))
  assert.equal(broken, [])
})

test.run()

/** All TypeScript files below a folder but generated ones. */
function findSources(folder: string): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
  return paths.filter((path) => path.endsWith('.ts') && !path.includes('/generated/')).sort()
}

/** The files of ours that a file imports, as paths from the repository; `import type` counts too. */
function findImports(path: string, text: string): string[] {
  const specifiers = [...withoutComments(text).matchAll(/^(?:import|export)\b[^'"]*?from '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm)]
  return specifiers.map((match) => normalize(join(dirname(path), match[1] ?? match[2] ?? '')))
}

function withoutComments(text: string): string {
  return text.replace(/^\s*\/\/.*$/gm, '').replace(/^\s*\/\*\*[\s\S]*?\*\//gm, '')
}

/** `net` of `src/net/ip.ts`, and `config.ts` of `src/config.ts`. */
function folderOf(path: string): string {
  return path.split('/')[1] ?? ''
}

function isPermitted(path: string, target: string): boolean {
  const [from, to] = [folderOf(path), folderOf(target)]
  if (!target.startsWith('src/')) return false
  if (from === to || to === 'errors.ts' || to === 'log.ts') return true
  const permitted = PERMITTED[from] ?? TOP_FILES[from] ?? []
  return permitted.some((one) => one === to || `src/${one}` === target)
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** Each cycle of imports once, as `a > b > a`; types are erased, yet a cycle of types says that the cut is in the wrong place. */
function findCycles(): string[] {
  const cycles: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' > '))
      return
    }
    state.set(path, 'open')
    for (const target of importsOf.get(path) ?? []) visit(target, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of sources) visit(path, [])
  return cycles
}
