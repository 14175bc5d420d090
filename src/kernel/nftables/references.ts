import type { NftChain, NftObject, NftRule } from '../objects.ts'

/** The keys of all that an object refers to: it can't be in the kernel without them. */
export function referencesOf(object: NftObject): ReadonlySet<string> {
  const keys = new Set<string>()
  findReference(object, (kind, name) => {
    keys.add(`${kind} ${name}`)
    return false
  })
  return keys
}

/** The key of the first of them of which that holds. Most are looked at in vain: a key is made only of the one that is found. */
export function findReference(object: NftObject, test: ReferenceTest): string | undefined {
  if (object.kind === 'set' && object.isMap) {
    for (const element of object.elements) if (test('chain', chainOf(element))) return `chain ${chainOf(element)}`
  }
  if (object.kind !== 'chain') return undefined
  for (const rule of object.rules) {
    const key = findReferenceOf(rule, test)
    if (key !== undefined) return key
  }
  return undefined
}

type ReferenceTest = (kind: NftObject['kind'], name: string) => boolean

/** What a map leads an element on to. */
export function chainOf(element: string): string {
  return element.slice(element.indexOf(GOTO) + GOTO.length)
}

/** An element of a map without what it leads on to. */
export function keyOfElement(element: string): string {
  return element.slice(0, element.indexOf(GOTO))
}

const GOTO = ' goto '

function findReferenceOf({ matches, verdict, counter }: NftRule, test: ReferenceTest): string | undefined {
  for (const match of matches) if ('set' in match && test('set', match.set)) return `set ${match.set}`
  if ('chain' in verdict && test('chain', verdict.chain)) return `chain ${verdict.chain}`
  if ('map' in verdict && test('set', verdict.map)) return `set ${verdict.map}`
  return counter !== undefined && test('counter', counter) ? `counter ${counter}` : undefined
}

/** The chain as it is put where its rules are refused and the kernel has none of its name. */
export function closedForm({ otherwise, ...chain }: NftChain): NftChain | undefined {
  return otherwise && { ...chain, rules: otherwise }
}
