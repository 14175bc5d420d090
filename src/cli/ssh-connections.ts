import { readFileSync } from 'node:fs'
import type { Flow } from '../model/own/questions.ts'
import { isIp, parseIp } from '../net/ip.ts'

/** More ancestors than this has nobody. */
const MOST_ANCESTORS = 100

/**
 * What `SSH_CONNECTION` is in the environment of this process and of those that started it: sudo takes it away from the process, and
 * leaves it to the shell from which it was called. Those of other users are read by root only.
 */
export function readSshConnections(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const found = new Set<string>()
  if (env['SSH_CONNECTION'] !== undefined) found.add(env['SSH_CONNECTION'])
  let pid = process.ppid
  for (let steps = 0; pid > 1 && steps < MOST_ANCESTORS; steps++) {
    const value = /(?:^|\0)SSH_CONNECTION=([^\0]*)/.exec(readQuietly(`/proc/${pid}/environ`))?.[1]
    if (value !== undefined) found.add(value)
    // After the name, which may hold anything: state, then the parent (proc(5)).
    const stat = readQuietly(`/proc/${pid}/stat`)
    pid = Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2])
  }
  return [...found]
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The connection that such a text tells: address and port of the client, address and port of the server. */
export function parseSshConnection(text: string): Flow | undefined {
  const [client = '', clientPort, server = '', serverPort] = text.trim().split(/\s+/)
  // A link-local address stands with its zone.
  const [from, to] = [client.replace(/%.*$/, ''), server.replace(/%.*$/, '')]
  const ports = [Number(clientPort), Number(serverPort)]
  if (!isIp(from) || !isIp(to) || !ports.every((port) => Number.isInteger(port) && port > 0 && port < 65_536)) return undefined
  const [source, destination] = [
    { address: parseIp(from), port: ports[0] },
    { address: parseIp(to), port: ports[1] },
  ]
  return { source, destination, protocol: 6 }
}
