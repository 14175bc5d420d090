// npm run demo -- [--mode M] [--subnets 1|2] [--json]
import { launch } from './launch.mjs'

await launch('scripts/lab/demo.ts', process.argv.slice(2))
