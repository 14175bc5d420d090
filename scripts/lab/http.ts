import { type Place, tryRun } from './command.ts'

/** An answer over HTTP, as a program on the host itself sees it; status 0 where nobody answered. */
export interface Answer {
  readonly status: number
  readonly text: string
}

const PROGRAM = `
const abort = AbortSignal.timeout(5000)
fetch(process.argv[1], { signal: abort })
  .then(async (response) => ({ status: response.status, text: await response.text() }))
  .catch((error) => ({ status: 0, text: String(error.cause ?? error) }))
  .then((answer) => console.log(JSON.stringify(answer)))`

/** One GET from a host of the lab. */
export async function httpGet(place: Place, url: string): Promise<Answer> {
  const { stdout, stderr } = await tryRun(place, [process.execPath, '-e', PROGRAM, url])
  if (stdout === '') throw new Error(`GET ${url}: ${stderr.trim()}`)
  return JSON.parse(stdout) as Answer
}
