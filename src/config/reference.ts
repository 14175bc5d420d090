import { GROUPS, SETTINGS, type Setting } from './schema.ts'

/** The example file: every key with its default and what it means, as JSON with comments. */
export function renderExample(): string {
  const tree = renderGroup('', 1)
  return `// The configuration of margay, read from /etc/margay/config.json: JSON with comments. Every key is optional; what stands here is its
// default, but for etcd: give endpoints, or embedded on the one host that shall run it. Check with: margay config check
{
${tree}}
`
}

function renderGroup(prefix: string, depth: number): string {
  const inside = SETTINGS.filter(({ path }) => path.startsWith(prefix))
  const names = [...new Set(inside.map(({ path }) => path.slice(prefix.length).split('.')[0] ?? ''))]
  const indent = '  '.repeat(depth)
  return names
    .map((name, i) => {
      const path = `${prefix}${name}`
      const setting = SETTINGS.find((each) => each.path === path)
      const comment = wrap(setting?.doc ?? GROUPS[path] ?? '', 128 - indent.length)
      const value = setting ? JSON.stringify(shownDefault(setting)) : `{\n${renderGroup(`${path}.`, depth + 1)}${indent}}`
      return `${comment.map((line) => `${indent}// ${line}\n`).join('')}${indent}${JSON.stringify(name)}: ${value}${i < names.length - 1 ? ',' : ''}\n`
    })
    .join('')
}

/** Labels are an object in the file, whatever they are in here. */
export function shownDefault(setting: Setting): unknown {
  return setting.path === 'node.labels' ? {} : setting.default
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ').filter((each) => each !== '')) {
    const last = lines[lines.length - 1]
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** The reference of all keys, as Markdown. */
export function renderReference(): string {
  const parts = Object.entries(GROUPS).map(([group, about]) => {
    const inside = SETTINGS.filter(({ path }) => path === group || path.startsWith(`${group}.`))
    return `### ${group}\n\n${about}\n\n| key | value | default | meaning |\n|---|---|---|---|\n${inside.map(referenceRow).join('')}`
  })
  return parts.join('\n')
}

function referenceRow(setting: Setting): string {
  const { path, parser, doc } = setting
  const cells = [`\`${path}\``, parser.name, `\`${JSON.stringify(shownDefault(setting))}\``, doc]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
}
