import { newconn } from './newconn/newconn.ts'
import { readBenchArgs, report } from './report.ts'

/** What policies cost: new connections under many of them. */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  return report({ name: 'policy', ...(await newconn(options)) }, options)
}
