import { newconn } from './newconn/newconn.ts'
import { readBenchArgs, report } from './report.ts'
import { client } from './verdict/client.ts'
import { remote } from './verdict/remote.ts'
import { verdict } from './verdict/verdict.ts'

/** What policies cost: from a write to the verdict, many remote endpoints, new connections under many policies. */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  const parts = [
    await verdict(options, import.meta.filename),
    ...(options.isQuick ? [] : [await remote(import.meta.filename)]),
    await newconn(options),
  ]
  const figures = Object.assign({}, ...parts.map((part) => part.figures))
  const ratios = Object.assign({}, ...parts.map((part) => part.ratios))
  return report({ name: 'policy', figures, ratios, faults: parts.flatMap(({ faults }) => faults) }, options)
}

if (process.argv[1] === import.meta.filename && process.argv[2] === 'client') await client(process.argv[3] ?? '')
