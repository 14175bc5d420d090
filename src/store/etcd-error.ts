import { type ServiceError, status } from '@grpc/grpc-js'
import { StoreError } from '../errors.ts'

/** What kind of answer a failed call was, which decides whether and where it is tried again. */
export type Fault =
  /** The connection was never made: nothing was sent. */
  | 'unreachable'
  /** TLS refused: trying again does not help. */
  | 'tls'
  /** No answer, or a connection that broke: what was sent may have been done. */
  | 'interrupted'
  /** The token is old: log in again. */
  | 'token'
  /** User or password are wrong. */
  | 'login'
  /** The user may not do that. */
  | 'denied'
  /** The revision asked for was compacted. */
  | 'compacted'
  | 'too-large'
  /** etcd understood and refused. */
  | 'refused'

const TOKEN = /invalid auth token|revision of auth store is old|user name is empty/
const TLS = /certificate|altname|SSL routines|\bssl\b|\btls\b|ERR_TLS|ERR_SSL|EPROTO|wrong version number/i

/** Whether anything that was thrown is an error of gRPC, with a status code and etcd's own words. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error
}

/** Sorts an error of gRPC. */
export function faultOf(error: ServiceError): Fault {
  const text = error.details
  if (TOKEN.test(text)) return 'token'
  if (/authentication failed|invalid user/.test(text)) return 'login'
  if (error.code === status.PERMISSION_DENIED || /permission denied/.test(text)) return 'denied'
  if (/has been compacted/.test(text)) return 'compacted'
  if (/request is too large|message larger than max|too many operations/.test(text)) return 'too-large'
  if (/too many requests/.test(text)) return 'interrupted'
  if (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED) return connectionFault(text)
  // A stream that ends as its connection does: CANCELLED by the other side, INTERNAL for a reset, UNKNOWN for "context canceled".
  if (error.code === status.CANCELLED || error.code === status.INTERNAL) return 'interrupted'
  return /context (canceled|deadline exceeded)|no leader/.test(text) ? 'interrupted' : 'refused'
}

function connectionFault(text: string): Fault {
  if (!/No connection established|Name resolution failed|No addresses resolved/.test(text)) return 'interrupted'
  // A server that dies during the handshake looks like one that does not speak TLS.
  return TLS.test(text) && !/disconnected before secure/.test(text) ? 'tls' : 'unreachable'
}

/** Why a call failed, in words for a person; `caFile` is named where the server's certificate is not of that CA. */
export function reasonOf(error: unknown, caFile = ''): string {
  if (!isServiceError(error)) return error instanceof Error ? error.message : String(error)
  const text = lastErrorIn(error.details)
  const known = REASONS.find(([pattern]) => pattern.test(text))
  if (known) return typeof known[1] === 'string' ? known[1] : known[1](text, caFile)
  if (error.code === status.DEADLINE_EXCEEDED) return 'timed out'
  return text
}

type Words = string | ((text: string, caFile: string) => string)

const REASONS: readonly (readonly [RegExp, Words])[] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, 'the host name cannot be resolved'],
  [/ETIMEDOUT/, 'timed out'],
  [/does not match certificate's altnames/, (text) => `its certificate is not valid for this address (${altNames(text)})`],
  [/certificate has expired|CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/not yet valid|CERT_NOT_YET_VALID/, 'its certificate is not valid yet'],
  [
    /self.signed certificate|unable to (get|verify)|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/,
    (_text, caFile) =>
      `its certificate is not signed by ${caFile === '' ? "one of this system's CAs (no caFile is given)" : `the CA in ${caFile}`}`,
  ],
  [/wrong version number|packet length too long|disconnected before secure/i, 'it does not speak TLS (is the endpoint http://?)'],
  [/certificate required|bad certificate|handshake failure|unknown ca|alert/i, 'it demands a client certificate that its CA has signed'],
  [/authentication failed/, 'the user name or the password is wrong'],
  [/^Failed to connect/, 'it does not speak gRPC without TLS (is the endpoint https://?)'],
  [/user name is empty/, 'it demands a user and a password'],
  [/GOAWAY|Connection dropped|ECONNRESET|socket hang up|Stream closed|RST_STREAM/i, 'the connection broke'],
]

/** gRPC wraps what happened: `No connection established. Last error: Error: connect ECONNREFUSED …. Resolution note: `. */
function lastErrorIn(details: string): string {
  const inner = /Last error: (.*?)(?:\. Resolution note:.*)?$/s.exec(details)?.[1] ?? details
  return inner.replace(/^(etcdserver|Error): /, '').replace(/^Error: /, '')
}

function altNames(text: string): string {
  return /(?:IP|Host): (.*)$/s.exec(text)?.[0] ?? text
}

/** The error that callers of the store see. */
export function storeError(fault: Fault, message: string, cause: unknown): StoreError {
  const codes: Partial<Record<Fault, string>> = {
    ...{ unreachable: 'store-unreachable', interrupted: 'store-unreachable', tls: 'store-tls' },
    ...{ token: 'store-auth', login: 'store-auth', denied: 'store-denied', 'too-large': 'store-too-large' },
  }
  const isTransient = fault === 'unreachable' || fault === 'interrupted' || fault === 'token'
  return new StoreError(message, { code: codes[fault] ?? 'store', isTransient, cause })
}
