import { findOwners, listSockets } from '../kernel/sockets/sockets.ts'
import { readChanges, readSessionsQuestion, type SessionsAnswer } from '../model/own/questions.ts'
import type { HostFlow } from '../questions/judge.ts'
import { cutSessions, ETCD_PROGRAM, findSessions, type Session, type SessionSocket, SSH_PROGRAMS } from '../questions/sessions.ts'
import type { AskedHost } from './asked-host.ts'

/** So many connections are named in an answer; more of them say nothing new. */
const MOST_NAMED = 50

/** Which connections of administrators and of etcd changes would cut on this host. */
export async function answerSessions(asked: AskedHost, body: unknown, signal: AbortSignal): Promise<SessionsAnswer> {
  const { changes, callers } = readSessionsQuestion(body)
  await asked.look(signal)
  const own = asked.addresses
  const called = callers.flatMap((flow): Session[] =>
    own.has(flow.destination.address) ? [{ ...flow, what: 'SSH', isIncoming: true }] : [],
  )
  const sessions = distinct([...called, ...findSessions(await readSockets(signal), process.pid)])
  const flows = await withLinks(asked, sessions, signal)
  const addresses = sessions.flatMap(({ source, destination }) => [source.address, destination.address])
  const { policies, sources } = await asked.compare(readChanges(changes), addresses, signal)
  const hosts = { before: policies.before.host, after: policies.after.host }
  const cut = cutSessions(flows, hosts, sources)
  return { cut: cut.slice(0, MOST_NAMED), checked: sessions.length, problems: [...sources.after.read.problems] }
}

/** Sockets of TCP that listen or are open, with those programs that matter. */
async function readSockets(signal: AbortSignal): Promise<readonly SessionSocket[]> {
  const sockets = await listSockets(({ protocol, state }) => protocol === 6 && state !== 'other', signal)
  const names = new Set([...SSH_PROGRAMS, ETCD_PROGRAM])
  const isWanted = ({ pid, name }: { readonly pid: number; readonly name: string }) => pid === process.pid || names.has(name)
  const owners = await findOwners(new Set(sockets.map(({ inode }) => inode)), isWanted, signal)
  return sockets.map(({ local, remote, state, inode }) => ({
    ...{ local, remote, isListening: state === 'listening' },
    program: owners.get(inode),
  }))
}

/** By which interface each comes or goes: the one by which the other end is reached. */
async function withLinks(asked: AskedHost, sessions: readonly Session[], signal: AbortSignal): Promise<readonly (Session & HostFlow)[]> {
  const others = sessions.map(({ source, destination, isIncoming }) => (isIncoming ? source : destination).address)
  const links = await asked.linksTo(others, signal)
  const { interfaces, uplink } = asked.interfaces
  return sessions.map((session) => {
    const [near, far] = session.isIncoming ? [session.destination, session.source] : [session.source, session.destination]
    const link = links.get(far.address) ?? interfaces.find(({ addresses }) => addresses.includes(near.address))?.name ?? uplink
    return { ...session, ...(session.isIncoming ? { in: link } : { out: link }) }
  })
}

/** What a session of the caller's is told twice: by himself, and by the sockets of the host. */
function distinct(sessions: readonly Session[]): readonly Session[] {
  const key = ({ what, source, destination }: Session) =>
    `${what} ${source.address} ${source.port} ${destination.address} ${destination.port}`
  return [...new Map(sessions.map((session) => [key(session), session])).values()]
}
