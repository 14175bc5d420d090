import type { NftChain, NftObject, NftRule } from '../objects.ts'

/** The keys of all that an object refers to: it can't be in the kernel without them. */
export function referencesOf(object: NftObject): ReadonlySet<string> {
  const keys = new Set<string>()
  if (object.kind === 'chain') for (const rule of object.rules) addReferencesOf(rule, keys)
  if (object.kind === 'set' && object.isMap) for (const element of object.elements) keys.add(`chain ${chainOf(element)}`)
  return keys
}

/** What a map leads an element on to. */
export function chainOf(element: string): string {
  return element.slice(element.indexOf(GOTO) + GOTO.length)
}

/** An element of a map without what it leads on to. */
export function keyOfElement(element: string): string {
  return element.slice(0, element.indexOf(GOTO))
}

const GOTO = ' goto '

function addReferencesOf({ matches, verdict, counter }: NftRule, keys: Set<string>): void {
  for (const match of matches) if ('set' in match) keys.add(`set ${match.set}`)
  if ('chain' in verdict) keys.add(`chain ${verdict.chain}`)
  if ('map' in verdict) keys.add(`set ${verdict.map}`)
  if (counter !== undefined) keys.add(`counter ${counter}`)
}

/** The chain as it is put where its rules are refused and the kernel has none of its name. */
export function closedForm({ otherwise, ...chain }: NftChain): NftChain | undefined {
  return otherwise && { ...chain, rules: otherwise }
}
