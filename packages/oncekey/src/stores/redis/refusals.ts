/** What Redis refused or failed with, as an error that says what happened and what to do. */
import { IdempotencyError, unreadable } from '../../core/errors.ts'
import { unreadableMark } from './prelude.lua.ts'
import { asError } from './wire.ts'

/** By how Redis begins its refusals. */
const sentences: readonly (readonly [begins: string, sentence: string])[] = [
  ['OOM', 'Redis is out of memory, and nothing was written. Raise its maxmemory, or keep outcomes for a shorter time.'],
  ['READONLY', 'This Redis is a replica that takes no writes. Connect to the primary, or by Sentinel or as a cluster.'],
  ['NOPERM', 'Redis does not allow this user a command or key that the store needs. See its ACL rules.'],
  ['NOAUTH', 'Redis asks for a password. Give the client one.'],
  ['WRONGPASS', 'Redis did not accept the user and password of the client.'],
  ['WRONGTYPE', 'A key with the store’s prefix holds something else. Give the store a prefix of its own.'],
  ['LOADING', 'Redis is still loading its data. It answers when it has.'],
  ['MISCONF', 'Redis cannot write to its disk, and takes no writes until it can. See its log.'],
  ['CLUSTERDOWN', 'The Redis cluster has lost slots and takes no calls until they are served again.'],
  ['MASTERDOWN', 'This Redis is a replica that has lost its primary.'],
  ['NOREPLICAS', 'Redis has fewer replicas than its min-replicas-to-write, and takes no writes.'],
  ['BUSY', 'Redis is held up by a script that runs for long.'],
]

/** The error for what a command was answered with. Every command may be made again, for scripts compare attempts. */
export function refusal(reason: unknown): IdempotencyError {
  const { message } = asError(reason)
  if (message.includes(unreadableMark)) return unreadable()
  const known = sentences.find(([begins]) => message.startsWith(begins))
  if (known !== undefined) return failure(known[1], reason)
  if (/^[A-Z]+ /.test(message)) return failure(`Redis refused a command: ${message}`, reason)
  // Of several addresses tried, the error has no words of its own.
  const { code = 'no reason given' } = reason as { readonly code?: string }
  return failure(`Redis did not answer (${message || code}). Is it running, and can this process reach it?`, reason)
}

/** `store_unavailable` with a sentence. */
export function failure(sentence: string, reason?: unknown): IdempotencyError {
  return new IdempotencyError('store_unavailable', sentence, reason === undefined ? {} : { cause: bare(reason) })
}

/** Drivers hang the failed command on their errors, with bodies, fingerprints and, of AUTH, the password. */
function bare(reason: unknown): Error {
  const { name, message } = asError(reason)
  const cause = new Error(message)
  cause.name = name
  return cause
}
