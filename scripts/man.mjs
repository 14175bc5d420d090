// Writes the pages of the manual into dist/man, from the commands and the configuration's schema.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleHere } from './build.mjs'
import { ROOT } from './step.mjs'

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
await bundleHere(['src/cli/man-pages.ts'], '.cache/man')
const { makeManPages } = await import(join(ROOT, '.cache/man/src/cli/man-pages.mjs'))

mkdirSync(join(ROOT, 'dist/man'), { recursive: true })
for (const { file, text } of makeManPages(version)) writeFileSync(join(ROOT, 'dist/man', file), text)
