import { FOLLOWED_PREFIXES } from '../model/keys.ts'
import { CompactedError, type Store } from './store.ts'
import { MutableView } from './view.ts'

/** So often the reading is begun anew because the store was compacted in the middle of it. */
const MOST_TRIES = 3

/** All that a host follows, read once and at one revision, for whoever asks one question and goes. */
export async function readView(store: Store, signal: AbortSignal): Promise<MutableView> {
  for (let tries = 1; ; tries++) {
    try {
      return await readOnce(store, signal)
    } catch (error) {
      if (!(error instanceof CompactedError) || tries === MOST_TRIES) throw error
    }
  }
}

async function readOnce(store: Store, signal: AbortSignal): Promise<MutableView> {
  const view = new MutableView()
  let revision = 0
  for (const prefix of FOLLOWED_PREFIXES) {
    for await (const page of store.list(prefix, revision === 0 ? {} : { revision }, signal)) {
      revision = page.revision
      for (const entry of page.entries) view.apply(entry.key, entry)
    }
    view.advance(prefix, revision)
  }
  return view
}
