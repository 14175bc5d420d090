import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeStateFile } from './state-file.ts'

/** What tells this host from another one of the same name: a UUID that is made once and kept in the state folder. */
export function instanceId(stateFolder: string): string {
  const file = join(stateFolder, 'instance')
  const known = readIfThere(file)
  if (known !== undefined && /^[0-9a-f-]{36}$/.test(known)) return known
  const fresh = randomUUID()
  writeStateFile(file, `${fresh}\n`)
  return fresh
}

/** The group whose members may use the API socket, or undefined where the system has none. */
export function margayGroup(): number | undefined {
  const line = readIfThere('/etc/group')
    ?.split('\n')
    .find((text) => text.startsWith('margay:'))
  const id = Number(line?.split(':')[2])
  return line !== undefined && Number.isInteger(id) ? id : undefined
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}
