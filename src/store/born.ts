/** The uid and time of creation of a stored resource that is otherwise not understood, as far as they can be read. */
export function bornOf(text: string): { readonly uid?: string; readonly creationTimestamp?: string } {
  const metadata = member(parseQuietly(text), 'metadata')
  const [uid, creationTimestamp] = [member(metadata, 'uid'), member(metadata, 'creationTimestamp')]
  return {
    ...(typeof uid === 'string' && /^[0-9a-f-]{36}$/.test(uid) ? { uid } : {}),
    ...(typeof creationTimestamp === 'string' && !Number.isNaN(Date.parse(creationTimestamp)) ? { creationTimestamp } : {}),
  }
}

function parseQuietly(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}
