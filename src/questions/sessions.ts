import type { CutSession, Flow } from '../model/own/questions.ts'
import type { Ip } from '../net/ip.ts'
import type { PolicedHost } from '../policy/evaluate-path.ts'
import type { RuleSource } from '../policy/explain.ts'
import type { Compared } from './endpoint-changes.ts'
import { type HostFlow, whyDenied } from './judge.ts'

/** A socket of TCP on this host, with the program that has it where it was looked for. */
export interface SessionSocket {
  readonly local: { readonly address: Ip; readonly port: number }
  readonly remote: { readonly address: Ip; readonly port: number }
  readonly isListening: boolean
  readonly program?: { readonly pid: number; readonly name: string } | undefined
}

/** A connection that must not be cut. */
export interface Session extends Flow {
  readonly what: 'SSH' | 'etcd'
  readonly isIncoming: boolean
}

/** Programs that take sessions of administrators; since OpenSSH 9.8 each session is a program of its own. */
export const SSH_PROGRAMS: readonly string[] = ['sshd', 'sshd-session', 'sshd-auth', 'dropbear']
export const ETCD_PROGRAM = 'etcd'

const TCP = 6

/**
 * Of the sockets of a host the connections by which administrators and etcd work: those to a port on which an sshd listens (or systemd
 * for it), those of etcd, and those of this daemon, which talks with nobody else. Connections of the host with itself are not looked at.
 */
export function findSessions(sockets: readonly SessionSocket[], daemonPid: number): readonly Session[] {
  const listening = new Set(sockets.flatMap(({ isListening, local }) => (isListening ? [local.port] : [])))
  const isSsh = ({ program }: SessionSocket) => program !== undefined && SSH_PROGRAMS.includes(program.name)
  const sshPorts = new Set(sockets.flatMap((socket) => (isSsh(socket) && listening.has(socket.local.port) ? [socket.local.port] : [])))
  return sockets.flatMap(({ local, remote, isListening, program }): Session[] => {
    if (isListening || local.address === remote.address || isLoopback(remote.address)) return []
    const isIncoming = listening.has(local.port)
    const flow = isIncoming ? { source: remote, destination: local } : { source: local, destination: remote }
    if (isIncoming && sshPorts.has(local.port)) return [{ ...flow, what: 'SSH', isIncoming, protocol: TCP }]
    const isEtcd = program !== undefined && (program.name === ETCD_PROGRAM || program.pid === daemonPid)
    return isEtcd ? [{ ...flow, what: 'etcd', isIncoming, protocol: TCP }] : []
  })
}

function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

/**
 * The sessions that would come about before a change and not after it. Asked is a new connection between the same ends: one that only goes
 * on because it is open would be the administrator's last.
 */
export function cutSessions(
  sessions: readonly (Session & HostFlow)[],
  hosts: Compared<PolicedHost>,
  sources: Compared<RuleSource>,
): readonly CutSession[] {
  return sessions.flatMap((session) => {
    const because = whyDenied(sources.after, hosts.after, session)
    if (because === undefined || whyDenied(sources.before, hosts.before, session) !== undefined) return []
    const { what, source, destination, protocol } = session
    return [{ what, source, destination, protocol, because }]
  })
}
