import { stringify } from 'yaml'
import { say } from '../scripts/lab/screen.ts'
import { parseDocuments } from '../src/model/document.ts'
import { startEtcd } from '../test/support/etcd.ts'
import { plainEtcd } from '../test/support/store.ts'
import { type BenchArgs, readBenchArgs, report } from './report.ts'
import { median, percentile } from './statistics.ts'
import { type Followed, follow, followInProcess } from './store-follower.ts'
import { endpointText, loadEndpoints } from './synthetic-endpoints.ts'

/** A large network: so many endpoints, and so many changes, one at a time. */
const FULL = { endpoints: 50_000, changes: 300 }

/**
 * What following a large etcd costs: a process that lists 50,000 workload endpoints, its memory at rest above that of the same process
 * with an empty etcd, and the way of one change into its view; and how many documents are checked in a second.
 */
export async function main(args: readonly string[]): Promise<number> {
  const options = readBenchArgs(args)
  const faults: string[] = []
  const rounds = options.isQuick ? 1 : 3
  // Only its memory is looked at, so it may rest while the other etcd is filled.
  const [empty, full] = await Promise.all([measure({ endpoints: 0, rounds: 1, changes: 0 }), measure({ ...FULL, rounds })])
  if (full.endpoints !== FULL.endpoints) faults.push(`the view has ${full.endpoints} endpoints, not ${FULL.endpoints}`)
  say(`${FULL.endpoints} endpoints: listed in ${Math.round(full.listMs)} ms`)
  const figures = {
    list_ms: full.listMs,
    list_mb: full.rssMb - empty.rssMb,
    list_peak_mb: full.peakMb - empty.peakMb,
    list_stretch_ms: full.stretchMs,
    change_p50_ms: median(full.changesMs),
    change_p99_ms: percentile(full.changesMs, 99),
    ...measureValidation(options, faults),
  }
  return report({ name: 'store', figures, ratios: {}, faults }, options)
}

interface Load {
  readonly endpoints: number
  /** Processes that follow it, one after another. */
  readonly rounds: number
  /** That each of them makes. */
  readonly changes: number
}

/** A fresh etcd, followed by several processes in turn: the middle one of each figure. */
async function measure({ endpoints, rounds, changes }: Load) {
  const etcd = await startEtcd()
  try {
    const store = plainEtcd(etcd.endpoints)
    await loadEndpoints(store, endpoints)
    store.close()
    const runs: Followed[] = []
    for (let round = 0; round < rounds; round += 1) {
      runs.push(await followInProcess(import.meta.filename, { endpoints: etcd.endpoints, changes }))
    }
    const middle = (of: (run: Followed) => number) => median(runs.map(of))
    return {
      endpoints: middle((run) => run.endpoints),
      listMs: middle((run) => run.listMs),
      rssMb: middle((run) => run.rssMb),
      peakMb: middle((run) => run.peakMb),
      stretchMs: middle((run) => run.stretchMs),
      changesMs: runs.flatMap((run) => run.changesMs),
    }
  } finally {
    await etcd.close()
  }
}

/** Documents a second through all checks that `margay validate` makes, from a file's text on: as JSON and as YAML. */
function measureValidation({ isQuick }: BenchArgs, faults: string[]) {
  const texts = Array.from({ length: 1000 }, (_, index) => endpointText(index, 0))
  const json = `[${texts.join(',\n')}]`
  const yaml = texts.map((text) => stringify(JSON.parse(text))).join('---\n')
  const ways = { validated_per_s: () => parseDocuments(json), validated_yaml_per_s: () => parseDocuments(yaml) }
  return Object.fromEntries(
    Object.entries(ways).map(([figure, validate]) => {
      const rates = Array.from({ length: isQuick ? 4 : 10 }, () => {
        const startedMs = performance.now()
        const documents = validate()
        const tookMs = performance.now() - startedMs
        const wrong = documents.find(({ resource }) => resource === undefined)
        if (wrong !== undefined) faults.push(`a valid document was refused: ${wrong.issues.map(({ message }) => message).join('; ')}`)
        return (documents.length * 1000) / tookMs
      })
      // The first round is that in which V8 compiles.
      return [figure, median(rates.slice(1))]
    }),
  )
}

if (process.argv[1] === import.meta.filename) await follow(process.argv[2] ?? '')
