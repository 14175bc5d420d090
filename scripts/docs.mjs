// Writes what is made from the code: tables of docs/, config.example.json and schemas/. Tests fail when they are not current.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleHere } from './build.mjs'
import { ROOT } from './step.mjs'

await bundleHere(['src/config/reference.ts', 'src/model/reference/files.ts'], '.cache/docs')
const { renderExample, renderReference } = await import(join(ROOT, '.cache/docs/src/config/reference.mjs'))
const { referencePages, renderKinds, renderSchemas } = await import(join(ROOT, '.cache/docs/src/model/reference/files.mjs'))

writeFileSync(join(ROOT, 'config.example.json'), renderExample())
fill('docs/configuration.md', renderReference())
fill('docs/resources.md', renderKinds())
for (const [path, text] of referencePages()) fill(path, text)
writeSchemas(renderSchemas())

/** Replaces what stands below the mark of a page. */
function fill(path, text) {
  const page = join(ROOT, path)
  const [head, mark] = readFileSync(page, 'utf8').split(/(<!-- made by [^>]*-->\n)/)
  writeFileSync(page, `${head}${mark}\n${text}`)
}

/** Makes the folder hold these files and no others. */
function writeSchemas(files) {
  const folder = join(ROOT, 'schemas')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (!files.has(name)) rmSync(join(folder, name))
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
}
