import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { aFolder, aLog, never } from '../../test/support/daemon.ts'
import { putPool } from '../ipam/fixtures.ts'
import { silentLogger } from '../log.ts'
import { resourceKey } from '../model/keys.ts'
import { MemoryStore } from '../store/memory.ts'
import { readSavedView } from '../store/saved-view.ts'
import { MutableView } from '../store/view.ts'
import { savedViewPath, ViewSaver } from './saver.ts'

const test = suite('daemon/saver')
const changes = [{ kind: 'IPPool', id: 'a' }] as const

async function aView(): Promise<MutableView> {
  const [store, view] = [new MemoryStore(), new MutableView()]
  await putPool(store, 'a', '10.65.0.0/16')
  const key = resourceKey('IPPool', 'a')
  view.apply(key, await store.get(key, never))
  return view
}

test('a view that changed is on disk when the daemon stops', async () => {
  const folder = aFolder()
  try {
    const [saver, view] = [new ViewSaver(folder.path, silentLogger), await aView()]
    saver.note(view, changes)
    await saver.flush()
    assert.is((await readSavedView(savedViewPath(folder.path), silentLogger))?.view.get('IPPool').size, 1)
  } finally {
    folder.close()
  }
})

test('who is alive is not worth a writing, and neither is nothing', async () => {
  const folder = aFolder()
  try {
    const [saver, view] = [new ViewSaver(folder.path, silentLogger), await aView()]
    saver.note(view, [{ kind: 'Live', id: 'h2' }])
    saver.note(view, [])
    await saver.flush()
    assert.is(await readSavedView(savedViewPath(folder.path), silentLogger), undefined)
  } finally {
    folder.close()
  }
})

test('a folder that can not be written to is said once, shown while it is so, and hurts nothing else', async () => {
  const folder = aFolder()
  try {
    // A file where the folder is to be: as good as a full disk, also for root.
    writeFileSync(join(folder.path, 'state'), '')
    const [log, view] = [aLog(), await aView()]
    const saver = new ViewSaver(join(folder.path, 'state'), log)
    for (const _ of [1, 2]) {
      saver.note(view, changes)
      await saver.flush()
    }
    assert.match(saver.problem ?? '', /^cannot save the view to .*\/state\/view\.jsonl: ENOTDIR/)
    assert.is(log.lines.length, 1)
  } finally {
    folder.close()
  }
})

test.run()
