import { say } from '../../scripts/lab/screen.ts'
import type { BenchArgs, BenchResult } from '../report.ts'
import { median, ratioOf } from '../statistics.ts'
import { openRouters, type Router } from './routers.ts'
import { storm } from './storm.ts'
import { makeWorld, PORT, SERVER } from './world.ts'

const SIZE = { policies: 1000, policiesOfEndpoint: 30, endpoints: 100 } as const

/**
 * New connections a second of CPU time through a router on which both ends' policies are: alone with connection tracking, under the same
 * policies as Calico's agent would write them, and under margay's. In each round all three have their turn.
 */
export async function newconn({ isQuick }: BenchArgs): Promise<Omit<BenchResult, 'name'>> {
  const [rounds, connections] = isQuick ? [7, 500] : [31, 2000]
  const routers = await openRouters(makeWorld(SIZE))
  try {
    const cpuUs = await measure(routers, rounds, connections)
    const of = (name: string) => cpuUs.get(name) ?? []
    // Less time a connection is more connections a second.
    const ratio = (other: string) => ratioOf(of(other), of('margay'))
    return {
      figures: Object.fromEntries(
        routers.flatMap(({ name, rules }) => {
          const key = name.replace('-', '_')
          return [
            [`newconn_${key}_per_cpu_s`, 1e6 / median(of(name))],
            [`newconn_${key}_us`, median(of(name))],
            [`newconn_${key}_rules`, rules],
          ]
        }),
      ),
      ratios: { 'newconn/conntrack-only': ratio('conntrack-only'), 'newconn/felix-like': ratio('felix-like') },
      faults: routers.flatMap(({ name, listener }) =>
        listener.taken >= rounds * connections ? [] : [`${name}: the server saw ${listener.taken} of ${rounds * connections} connections`],
      ),
    }
  } finally {
    for (const router of routers) router.close()
  }
}

/** CPU time a connection of each way, round by round, in microseconds. */
async function measure(routers: readonly Router[], rounds: number, connections: number): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, number[]>(routers.map(({ name }) => [name, []]))
  for (const { client, listener } of routers) await meet(listener, () => storm(client.path, SERVER.ip, PORT, 100))
  for (let round = 0; round < rounds; round++) {
    for (const { name, client, listener } of round % 2 === 0 ? routers : routers.toReversed()) {
      const { cpuUs } = await meet(listener, () => storm(client.path, SERVER.ip, PORT, connections))
      found.get(name)?.push(cpuUs / connections)
    }
    say(`round ${round + 1} of ${rounds}: ${[...found].map(([name, us]) => `${name} ${us.at(-1)?.toFixed(1)} us`).join(', ')}`)
  }
  return found
}

/** Does it, and lets the server take the connections before anything else is measured. */
async function meet<T extends { readonly connections: number }>(listener: Router['listener'], work: () => T): Promise<T> {
  const before = listener.taken
  const done = work()
  const deadline = Date.now() + 5000
  while (listener.taken < before + done.connections && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve))
  return done
}
