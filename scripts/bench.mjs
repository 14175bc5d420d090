// npm run bench -- NAME [--quick] [--json]
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { launch } from './launch.mjs'
import { ROOT } from './step.mjs'

const [name = '', ...args] = process.argv.slice(2)
const names = readdirSync(join(ROOT, 'bench'))
  .filter((file) => /^[a-z-]+\.bench\.ts$/.test(file))
  .map((file) => file.replace('.bench.ts', ''))

if (names.includes(name)) await launch(`bench/${name}.bench.ts`, args)
else {
  process.stderr.write(`error: ${name === '' ? 'no bench named' : `no bench ${JSON.stringify(name)}`}: there are ${names.join(', ')}\n`)
  process.exitCode = 2
}
