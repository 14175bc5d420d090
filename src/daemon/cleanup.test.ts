import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../../scripts/lab/command.ts'
import { rulesOf, writeBootRules } from '../../test/support/boot-rules.ts'
import { aConfig, aFolder, never } from '../../test/support/daemon.ts'
import { NftablesTable } from '../kernel/nftables/table.ts'
import { openRealWorld } from '../kernel/real-world.ts'
import { silentLogger } from '../log.ts'
import { cleanUp } from './cleanup.ts'

const test = suite('daemon/cleanup')

test('what is in force goes, and what the next boot would put there again; what else is in the folder stays', async () => {
  const [world, folder] = [openRealWorld(), aFolder()]
  const table = new NftablesTable({ netns: world.netns, log: silentLogger })
  try {
    const place = { enter: ['nsenter', `--net=${world.netns}`] }
    const file = await writeBootRules(folder.path, rulesOf(7000))
    await run(place, ['nft', '-f', file])
    assert.match(await run(place, ['nft', 'list', 'tables']), 'table inet margay')
    const kept = join(folder.path, 'view.jsonl')
    writeFileSync(kept, '')
    const config = aConfig({ 'paths.state': folder.path, 'paths.run': folder.path })
    assert.equal(await cleanUp(world.kernel, table, config, silentLogger, never), [])
    assert.is(await run(place, ['nft', 'list', 'tables']), '')
    assert.equal([existsSync(file), existsSync(kept)], [false, true])
  } finally {
    table.close()
    world.close()
    folder.close()
  }
})

test.run()
