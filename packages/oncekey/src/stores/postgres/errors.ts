/** What went wrong in the database, as one sentence of ours; the driver's error is the cause. */
import { IdempotencyError, unreadable } from '../../core/errors.ts'

const lost = 'The connection to PostgreSQL was lost. The pool makes a new one; the call can be made again.'
const away = 'PostgreSQL cannot be reached. Check that it runs, and the host and the port that the pool was given.'

/** What `refuse_format` raises. */
const unreadableState = 'OK001'

/** By SQLSTATE or its class, or by the code of a driver. None quotes a driver's message, which may quote a password. */
const sentences: Readonly<Record<string, string>> = {
  '25006':
    'PostgreSQL takes no writes here: it is a standby, or default_transaction_read_only is on. Connect to the primary.',
  '28': 'PostgreSQL refused the login. Check the user and the password that the pool was given.',
  '3D000': 'The database that the pool was given does not exist.',
  '3F000': 'The schema is not there. Call migrate(pool) once before the store is used.',
  '40001': 'PostgreSQL could not serialize this call with another one. It can be made again.',
  '40P01': 'PostgreSQL ended this call to resolve a deadlock. It can be made again.',
  '42501': 'This database user may not do that. Grant it what the page on PostgreSQL lists, or migrate as the owner.',
  '42704': 'The schema is not there, or not whole. Call migrate(pool) once before the store is used.',
  '42883': 'The schema is not there, or of an older version. Call migrate(pool) once before the store is used.',
  '42P01': 'The schema is not there, or not whole. Call migrate(pool) once before the store is used.',
  '53300': 'PostgreSQL has no free connection. Give the pool fewer, or the server more.',
  '55P03': 'The record is locked by a transaction that has not ended. End it, or try again.',
  '57014': 'PostgreSQL cancelled this call: a statement time-out or somebody ended it. It can be made again.',
  '57P': 'PostgreSQL ended this connection. The pool makes a new one; the call can be made again.',
  CONNECTION_CLOSED: lost,
  CONNECTION_DESTROYED: lost,
  CONNECTION_ENDED: 'The pool was ended before the store was closed.',
  CONNECT_TIMEOUT: away,
  ECONNREFUSED: away,
  ECONNRESET: lost,
  EHOSTUNREACH: away,
  ENOTFOUND: away,
  EPIPE: lost,
  ETIMEDOUT: away,
}

/**
 * The error as `store_unavailable` with its cause. The engine makes the call again, which is safe for every call: each
 * names the attempt it speaks for, so that a claim is answered `yours`, a settle `already` and an append `already` where
 * the first one was committed and only its answer was lost.
 */
export function unavailable(error: unknown): IdempotencyError {
  if (error instanceof IdempotencyError) return error
  const code = codeOf(error)
  if (code === unreadableState) return unreadable()
  const sentence =
    sentences[code] ??
    sentences[code.slice(0, 3)] ??
    sentences[code.slice(0, 2)] ??
    `PostgreSQL could not be asked (${code === '' ? 'no code' : code}). The cause tells more.`
  // One locked row holds up the call of all: asked apart, the others get their answers.
  return new IdempotencyError('store_unavailable', sentence, { cause: error, apart: code === '55P03' })
}

/** The SQLSTATE, or the code of a failed connection; empty where there is none. */
export function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}
