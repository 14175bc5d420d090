// Writes what is made from the code: the tables of docs/configuration.md and config.example.json. Tests fail when they are not current.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleHere } from './build.mjs'
import { ROOT } from './step.mjs'

await bundleHere(['src/config/reference.ts'], '.cache/docs')
const { renderExample, renderReference } = await import(join(ROOT, '.cache/docs/src/config/reference.mjs'))

writeFileSync(join(ROOT, 'config.example.json'), renderExample())
const page = join(ROOT, 'docs/configuration.md')
const [head, mark] = readFileSync(page, 'utf8').split(/(<!-- made by [^>]*-->\n)/)
writeFileSync(page, `${head}${mark}\n${renderReference()}`)
