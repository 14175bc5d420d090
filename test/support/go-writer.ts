import type { Store } from '../../src/store/store.ts'

/** A stored resource as Calico's Go client holds it between reading and writing. */
export interface GoResource {
  kind: string
  apiVersion: string
  metadata: {
    name: string
    uid?: string
    creationTimestamp?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  spec: Record<string, unknown>
}

/**
 * A stand-in for Calico's Go client: it reads a key, changes what it read, and writes it if the key is still at the revision that it read.
 * Its text is that of Go's encoding/json: members in the order of its structs, maps sorted, `<`, `>` and `&` escaped, what is empty left out.
 */
export class GoWriter {
  readonly #store: Store
  readonly #specOrder: readonly string[]

  /** @param specOrder the members of the spec that its version has; others are lost when it writes, as with a Go struct */
  constructor(store: Store, specOrder: readonly string[]) {
    this.#store = store
    this.#specOrder = specOrder
  }

  /** Gives how often somebody else was faster. */
  async change(key: string, change: (resource: GoResource) => void, signal: AbortSignal): Promise<number> {
    for (let lost = 0; ; lost += 1) {
      const entry = await this.#store.get(key, signal)
      if (entry === undefined) throw new Error(`there is no ${key}`)
      const resource = JSON.parse(entry.value) as GoResource
      change(resource)
      const result = await this.#store.commit([{ key, modRevision: entry.modRevision }], [{ put: key, value: this.text(resource) }], signal)
      if (result.isDone) return lost
    }
  }

  /** The text that it writes. */
  text({ kind, apiVersion, metadata, spec }: GoResource): string {
    const { name, uid, creationTimestamp, labels, annotations } = metadata
    const ordered = {
      kind,
      apiVersion,
      metadata: { name, uid, creationTimestamp, labels: sorted(labels), annotations: sorted(annotations) },
      spec: Object.fromEntries(this.#specOrder.map((member) => [member, spec[member]]).filter(([, value]) => !isEmpty(value))),
    }
    return JSON.stringify(ordered).replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
  }
}

function sorted(map: Record<string, string> | undefined): Record<string, string> | undefined {
  const entries = Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

/** `omitempty` of a field that is no pointer. */
function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || value === false || (Array.isArray(value) && value.length === 0)
}
