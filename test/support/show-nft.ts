import type { NftMatch, NftObject, NftRule, NftVerdict } from '../../src/kernel/objects.ts'

/** Objects as lines for a golden: a set with its elements, a chain with its hook, its rules indented. */
export function showNft(objects: readonly NftObject[]): string[] {
  return objects.flatMap((object) => {
    if (object.kind === 'set') {
      const elements = [...object.elements].join(object.isMap ? ', ' : ' ')
      return [`${object.isMap ? 'map' : 'set'} ${object.name}${object.isInterval ? ' interval' : ''}: ${elements}`]
    }
    if (object.kind === 'counter') return [`counter ${object.name}`]
    const { hook } = object
    return [
      `chain ${object.name}${hook ? `: ${hook.type} ${hook.hook} ${hook.priority}` : ''}`,
      ...object.rules.map((rule) => `  ${showRule(rule)}`),
    ]
  })
}

function showRule({ matches, verdict, limit, isCounted, counter, setMark, log }: NftRule): string {
  const statements = [
    ...(limit ? [`limit ${limit.rate}/${limit.seconds}s burst ${limit.burst}`] : []),
    ...(isCounted ? ['counter'] : []),
    ...(counter === undefined ? [] : [`counter ${counter}`]),
    ...(setMark ? [`mark ${setMark.value}/${setMark.mask}`] : []),
    ...(log ? [`log ${log.group} "${log.prefix}"`] : []),
  ]
  return [...matches.map(showMatch), ...statements, showVerdict(verdict)].join(' ')
}

function showMatch(match: NftMatch): string {
  const not = match.negate ? '!= ' : ''
  if ('set' in match) return `${match.on} ${not}@${match.set}`
  if (match.on === 'mark') return `mark & ${match.mask} ${not}${match.value}`
  return `${match.on} ${not}${match.value}`
}

function showVerdict(verdict: NftVerdict): string {
  if (verdict.do === 'jump' || verdict.do === 'goto') return `${verdict.do} ${verdict.chain}`
  if (verdict.do === 'map') return `${verdict.on} map @${verdict.map}`
  if (verdict.do === 'reject' && verdict.by) return `reject by ${verdict.by}`
  if (verdict.do !== 'masquerade' && verdict.do !== 'snat') return verdict.do
  const to = [...(verdict.do === 'snat' ? [verdict.address] : []), ...(verdict.ports ? [verdict.ports.join('-')] : [])]
  return [verdict.do, ...to, ...(verdict.isRandom ? ['random'] : [])].join(' ')
}
