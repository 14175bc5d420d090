import type { FelixConfiguration, FelixConfigurationSpec } from '../model/felix-configuration.ts'
import { lookupIn, matchesSelector } from '../model/selector.ts'
import { parseSelector } from '../model/selector-parse.ts'

/**
 * The settings that hold for one node: FelixConfiguration `default`, over it the one whose nodeSelector matches (the oldest, then the first
 * by name), over that `node.<name>`. A field that a higher one does not have comes from below.
 */
export function felixSettings(
  configurations: ReadonlyMap<string, FelixConfiguration>,
  node: string,
  labels: Readonly<Record<string, string>> | undefined,
): FelixConfigurationSpec {
  const selected = [...configurations.values()].filter((each) => isSelected(each, labels)).sort(byAgeThenName)[0]
  return { ...configurations.get('default')?.spec, ...selected?.spec, ...configurations.get(`node.${node}`)?.spec }
}

function isSelected(configuration: FelixConfiguration, labels: Readonly<Record<string, string>> | undefined): boolean {
  const { name } = configuration.metadata
  const selector = configuration.spec.nodeSelector
  if (name === 'default' || name.startsWith('node.') || selector === undefined) return false
  return matchesSelector(parseSelector(selector), lookupIn(labels))
}

function byAgeThenName(a: FelixConfiguration, b: FelixConfiguration): number {
  const [x, y] = [a, b].map(({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`)
  return (x ?? '') < (y ?? '') ? -1 : 1
}
