/** Which idempotency key a request goes out with: the one it has, the one kept for its name, the caller's, or a new one. */
import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'

/** A request as the caller handed it to fetch; reading it disturbs nothing. */
export interface ClientRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  /** As given in `init`: the SDKs give text. Undefined where fetch was called with a `Request`. */
  readonly body: unknown
}

/** Where keys outlive the process. A `Map` is one, and two lines make one of `localStorage` or a file. */
export interface KeyShelf {
  get(name: string): string | null | undefined | PromiseLike<string | null | undefined>
  /** Answers when the key is safe: the request goes out only then. */
  set(name: string, key: string): unknown
}

/**
 * Keeps keys by a name of the caller's own: a restarted program that asks under the same name finds the key again. An
 * entry is taken away by nobody but the caller, for only they know when the answer is safe with them.
 */
export interface Persist {
  readonly keys: KeyShelf
  /** What the call is called, the same after a restart: `line-7`. Undefined: its key is not kept. */
  readonly name: (request: ClientRequest) => string | undefined
}

/** What a key may be (http.md, Request); the server would refuse it too, after the way there. */
const sendable = /^[\x21-\x7e]{1,255}$/

/** A key as the field's value: an sf-string (RFC 9651 §3.3.3). Throws a TypeError for what no server would take. */
export function quoted(key: string): string {
  if (!sendable.test(key)) {
    throw new TypeError('An idempotency key has 1 to 255 characters, of visible ASCII. Use a digest of yours.')
  }
  return `"${key.replace(/["\\]/g, '\\$&')}"`
}

/** A UUIDv7 (RFC 9562 §5.7): 48 bits of wall time, then chance. */
export function uuidv7(clock: Pick<Clock, 'wallMs'>, random: Random): string {
  const time = Math.floor(clock.wallMs()).toString(16).padStart(12, '0')
  const bytes = random.bytes(10)
  const chance = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  // The variant is the two highest of four bits.
  const variant = '89ab'[(bytes[9] ?? 0) & 3]
  return `${time.slice(0, 8)}-${time.slice(8)}-7${chance.slice(0, 3)}-${variant}${chance.slice(3, 6)}-${chance.slice(6, 18)}`
}

/** Finds the key of a call. */
export type KeyMint = (request: ClientRequest) => Promise<string>

/** Calls of one name that begin at once in this process find the same key. */
export function keyMint(make: (request: ClientRequest) => string | PromiseLike<string>, persist?: Persist): KeyMint {
  const naming = new Map<string, Promise<string>>()
  return async (request) => {
    const name = persist?.name(request)
    if (!persist || name === undefined) return make(request)
    const { keys } = persist
    const find = async (): Promise<string> => {
      const kept = await keys.get(name)
      if (kept) return kept
      const key = await make(request)
      await keys.set(name, key)
      return key
    }
    const found = naming.get(name) ?? find().finally(() => naming.delete(name))
    naming.set(name, found)
    return found
  }
}
