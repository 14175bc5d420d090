import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aContext } from '../../test/support/cli.ts'
import { SETTINGS } from '../config.ts'
import { renderManPages } from './man.ts'
import { createProgram } from './program.ts'

const test = suite('cli/man')

const pages = renderManPages(createProgram(aContext(), { code: 0 }), '1.2.3')
const hasGroff = spawnSync('groff', ['--version']).status === 0

test('there is a page for the command, the daemon and the file', () => {
  assert.equal(
    pages.map((page) => page.file),
    ['margay.1', 'margayd.8', 'margay.conf.5'],
  )
})

for (const { file, text } of pages) {
  test(`${file} has its title and sections, and no line that is a request by mistake`, () => {
    assert.match(text, /^\.TH [A-Z.]+ \d "" "margay 1\.2\.3" "margay"\n\.nh\n\.ad l\n\.SH NAME\n\S+ \\- /)
    for (const line of text.split('\n')) {
      if (line.startsWith('.')) assert.match(line, /^\.(TH|SH|SS|PP|TP|B|BR|I|IR|RS|RE|nf|fi|nh|ad)( |$)/)
      assert.not.match(line, /^'/)
      assert.is((line.match(/(?<!\\)"/g) ?? []).length % 2, 0, line)
    }
    const count = (request: string) => text.split('\n').filter((line) => line.split(' ')[0] === request).length
    assert.equal([count('.nf'), count('.RS')], [count('.fi'), count('.RE')])
  })

  test(`${file} is taken by groff without a warning${hasGroff ? '' : ' (not here: no groff)'}`, () => {
    if (!hasGroff) return
    const done = spawnSync('groff', ['-man', '-ww', '-Tutf8', '-z'], { input: text, encoding: 'utf8' })
    assert.equal([done.status, done.stderr], [0, ''])
  })
}

test('every key stands in margay.conf.5, every command in margay.1', () => {
  const [command, , file] = pages.map((page) => page.text.replaceAll('\\-', '-'))
  for (const setting of SETTINGS) assert.ok(file?.includes(setting.env) && file.includes(`.B "${setting.path}"`), setting.path)
  for (const name of ['status', 'workload add', 'config show', 'debug record', 'version'])
    assert.ok(command?.includes(`.SS "margay ${name} `), name)
})

test.run()
