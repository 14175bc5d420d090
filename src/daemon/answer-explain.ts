import type { Ip } from '../net/ip.ts'
import type { ResourceMaps } from '../policy/explain-host.ts'
import type { AnsweredLeg, AskedLeg } from '../questions/asked-legs.ts'
import { readAskedLegs } from '../questions/asked-legs.ts'
import { addressesOf, explainLeg, type Leg } from '../questions/explain-leg.ts'
import { withChanges } from '../questions/overlay.ts'
import { policeHost } from '../questions/policed-host.ts'
import type { AskedHost } from './asked-host.ts'
import { paced } from './paced.ts'

/** What this host does with packets on its part of their way: by its own interfaces, routes and rules, whatever the asker takes them to be. */
export async function answerExplain(asked: AskedHost, body: unknown, signal: AbortSignal): Promise<readonly AnsweredLeg[]> {
  const questions = readAskedLegs(body).filter(({ leg }) => leg.node === asked.node)
  await asked.look(signal)
  const addresses = questions.flatMap(({ leg }) => addressesOf(leg))
  const links = await asked.linksTo(addresses, signal)
  const explain = async (maps: ResourceMaps) => {
    const source = await asked.source(maps, signal)
    const { host } = await paced(policeHost(source, asked.node, addresses), signal)
    return ({ packet }: AskedLeg, leg: Leg) => explainLeg(source, packet, leg, host)
  }
  const { maps, trials } = asked
  const isAsked = trials.length > 0 && questions.some(({ isTried }) => isTried)
  const committed = await explain(maps)
  const tried = isAsked
    ? await explain(
        withChanges(
          maps,
          trials.flatMap(({ changes }) => changes),
        ),
      )
    : committed
  return questions.map((question) => {
    const { leg, problem } = placeLeg(asked, question.leg, links)
    const ways = [leg.in, leg.out].filter((name) => name !== undefined)
    const mtuBytes = Math.min(...ways.map((name) => asked.mtuOf(name) ?? Number.MAX_SAFE_INTEGER))
    const explained = (question.isTried ? tried : committed)(question, leg)
    const holding = question.isTried ? { trials: trials.map(({ id }) => id) } : {}
    return { leg: explained, mtuBytes, ...(problem === undefined ? {} : { problem }), ...holding }
  })
}

/**
 * The interfaces by which the packet really comes and goes: for both the kernel's routes are asked, with which sources are checked too.
 * Tunnel devices are what the asker says of a packet that comes: its source need not be one that the tunnel leads to.
 */
function placeLeg(
  asked: AskedHost,
  leg: AskedLeg['leg'],
  links: ReadonlyMap<Ip, string>,
): { readonly leg: Leg; readonly problem?: string } {
  const { in: received, out: sent, ...rest } = leg
  const names = new Set(asked.interfaces.interfaces.map(({ name }) => name))
  const arrives = received === undefined ? undefined : names.has(received) ? received : (links.get(leg.source) ?? received)
  const link = links.get(leg.destination)
  const leaves = sent === undefined ? undefined : (link ?? sent)
  const ways = { ...(arrives === undefined ? {} : { in: arrives }), ...(leaves === undefined ? {} : { out: leaves }) }
  const isLost = sent !== undefined && link === undefined
  return { leg: { ...rest, ...ways }, ...(isLost ? { problem: `${asked.node} has no route to ${leg.destination}` } : {}) }
}
