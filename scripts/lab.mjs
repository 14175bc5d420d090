// npm run lab -- shell [--hosts N] [--subnets 1|2] [--mode M]
// npm run lab -- acceptance [--json]
import { acceptance } from './acceptance.mjs'
import { launch } from './launch.mjs'

const [command, ...args] = process.argv.slice(2)
if (command === 'shell') await launch('scripts/lab/shell.ts', args)
else if (command === 'acceptance') process.exitCode = await acceptance(args)
else {
  process.stderr.write(
    `error: ${command === undefined ? 'no command' : `no command ${JSON.stringify(command)}`}: npm run lab -- shell|acceptance\n`,
  )
  process.exitCode = 2
}
