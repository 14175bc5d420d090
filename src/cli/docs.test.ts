import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aContext } from '../../test/support/cli.ts'
import { createProgram } from './program.ts'

const test = suite('cli/docs')

const page = readFileSync('docs/cli.md', 'utf8')

/** Every command with its whole name; those that only hold others too. */
function walk(command: Command, parents: string): readonly { readonly name: string; readonly command: Command }[] {
  return command.commands.flatMap((child) => {
    const name = `${parents}${child.name()}`
    return [{ name, command: child }, ...walk(child, `${name} `)]
  })
}

const commands = walk(createProgram(aContext(), { code: 0 }), '').filter(({ command }) => command.commands.length === 0)

test('docs/cli.md names every command', () => {
  const missing = commands.filter(({ name }) => !page.includes(`margay ${name}`) && !page.includes(`\`${name}\``))
  assert.equal(
    missing.map(({ name }) => name),
    [],
  )
})

test('docs/cli.md names every flag of its commands', () => {
  const flags = new Set(
    commands
      .filter(({ name }) => !name.startsWith('config'))
      .flatMap(({ command }) => command.options.filter(({ hidden }) => !hidden).map((option) => option.long ?? '')),
  )
  const byShort = new Map([
    ['--output', '`-o`'],
    ['--namespace', '`-n'],
    ['--all-namespaces', '`-A`'],
    ['--filename', '`-f`'],
    ['--recursive', '`-R`'],
  ])
  const missing = [...flags].filter((flag) => !page.includes(byShort.get(flag) ?? flag))
  assert.equal(missing, [])
})

test('every flag and argument is described, and no description ends with a full stop', () => {
  for (const { name, command } of commands) {
    assert.ok(command.description().length > 10, name)
    for (const { description } of [...command.options.filter(({ hidden }) => !hidden), ...command.registeredArguments]) {
      assert.ok(description.length > 4 && !description.endsWith('.'), `${name}: ${description}`)
    }
  }
})

test.run()
