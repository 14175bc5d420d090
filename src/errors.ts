/**
 * The base of every error that margay throws: a stable `code` (listed in docs/errors.md), a message in lower case without
 * a full stop that says what was tried on what, and the cause.
 */
export class MargayError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** What is wrong with one field of an input, in words that name what would be right. */
export interface Issue {
  /** Where: a field path such as `spec.cidr`, or empty for the whole document. */
  readonly path: string
  readonly message: string
}

/** Bad input: a value, a document or a configuration that is not what it should be. Carries every issue that was found. */
export class ValidationError extends MargayError {
  readonly issues: readonly Issue[]
  constructor(message: string, issues: readonly Issue[] = [], options?: ErrorOptions) {
    super('validation', message, options)
    this.issues = issues
  }
}

/** The store could not do what was asked: unreachable, refused, timed out. `isTransient` says whether asking again can help. */
export class StoreError extends MargayError {
  readonly isTransient: boolean
  constructor(message: string, options: ErrorOptions & { readonly code?: string; readonly isTransient: boolean }) {
    super(options.code ?? 'store', message, options)
    this.isTransient = options.isTransient
  }
}

/** A resource is not in the state that the caller relied on: it exists already, is gone, or was changed by somebody else. */
export class ConflictError extends MargayError {
  /** With `exists`: the resource that exists, if it can be read. */
  readonly existing: unknown
  constructor(code: 'exists' | 'not-found' | 'conflict', message: string, options?: ErrorOptions & { readonly existing?: unknown }) {
    super(code, message, options)
    this.existing = options?.existing
  }
}

/** No address could be had: no pool, no free address, the address is taken. */
export class IpamError extends MargayError {}

/** The kernel refused a request. `errno` is the positive Linux error number, where there is one. */
export class KernelError extends MargayError {
  readonly errno: number | undefined
  constructor(message: string, options?: ErrorOptions & { readonly errno?: number; readonly code?: string }) {
    super(options?.code ?? 'kernel', message, options)
    this.errno = options?.errno
  }
}

/** Whether trying the same again later can succeed. */
export function isTransient(error: unknown): boolean {
  return error instanceof StoreError && error.isTransient
}

/** The message of anything that was thrown, with the messages of its causes, for a person. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message
  return error.cause === undefined || isCallError(error.cause) ? own : `${own}: ${describeError(error.cause)}`
}

/** gRPC's own error, whose words are in the message above it already, in a form that a person can read. */
function isCallError(cause: unknown): boolean {
  return cause instanceof Error && 'details' in cause && 'code' in cause && typeof cause.code === 'number'
}
