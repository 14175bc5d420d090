/** The items that stand in a list more than once, each once. In one walk: a hostile list has a hundred thousand items. */
export function doubles<Item>(list: readonly Item[]): readonly Item[] {
  const seen = new Set<Item>()
  const found = new Set<Item>()
  for (const item of list) (seen.has(item) ? found : seen).add(item)
  return [...found]
}
