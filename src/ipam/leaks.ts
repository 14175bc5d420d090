import { liveKey } from '../model/keys.ts'
import { checkIpam } from './check.ts'
import { fence, type IpamContext } from './context.ts'
import { readIpamSurvey } from './read-survey.ts'
import { repairAll } from './repair.ts'

/**
 * Releases all addresses that were given to a host which is about to be deleted, and that nothing uses: as its leader would do when it is
 * gone, without the wait. Nothing, if its daemon runs. Gives how many.
 */
export async function releaseLeaks(context: IpamContext, host: string, signal: AbortSignal): Promise<number> {
  const survey = await readIpamSurvey(context, signal)
  const nodes = new Set([...survey.nodes].filter((node) => node !== host))
  const { findings } = await checkIpam({ ...survey, nodes })
  const ofHost = findings.filter(({ kind, collector }) => kind === 'leaked-address' && collector.by === 'leader' && collector.gone === host)
  const repairs = ofHost.flatMap(({ repair }) => repair ?? [])
  return (await repairAll(context, repairs, [fence(liveKey(host), 0)], signal)).done.length
}
