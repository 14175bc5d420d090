import { newconn } from './newconn/newconn.ts'
import { type BenchArgs, type BenchResult, readBenchArgs, report } from './report.ts'
import { client } from './verdict/client.ts'
import { remote } from './verdict/remote.ts'
import { verdict } from './verdict/verdict.ts'

type Part = Pick<BenchResult, 'figures' | 'ratios' | 'faults'>

const PARTS: Readonly<Record<string, (options: BenchArgs) => Promise<Part>>> = {
  verdict: (options) => verdict(options, import.meta.filename),
  remote: () => remote(import.meta.filename),
  newconn,
}

/** What policies cost: from a write to the verdict, many remote endpoints, new connections under many policies. */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args, Object.keys(PARTS))
  const wanted = options.only ?? Object.keys(PARTS).filter((name) => name !== 'remote' || !options.isQuick)
  const parts: Part[] = []
  for (const name of wanted) parts.push((await PARTS[name]?.(options)) ?? { figures: {}, ratios: {}, faults: [] })
  const figures = Object.assign({}, ...parts.map((part) => part.figures))
  const ratios = Object.assign({}, ...parts.map((part) => part.ratios))
  return report({ name: 'policy', figures, ratios, faults: parts.flatMap(({ faults }) => faults) }, options)
}

if (process.argv[1] === import.meta.filename && process.argv[2] === 'client') await client(process.argv[3] ?? '')
