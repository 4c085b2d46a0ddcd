/** Node's clock, timers, chance and hashing behind core's ports. */
import { createHash, createHmac, hash, randomFillSync } from 'node:crypto'
import type { Clock, Timer } from '../core/clock.ts'
import type { Digest, Hasher } from '../core/digest.ts'
import type { Random } from '../core/random.ts'

/** The system's clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs: number, fire: () => void, hold = false): Timer {
    // setTimeout overflows above 2^31-1 ms and would fire at once.
    const timer = setTimeout(fire, Math.min(Math.max(delayMs, 0), 0x7fffffff))
    if (!hold) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

const pool = new Uint8Array(4096)
let used = pool.length

/** The system's chance; small requests come from a pool, since one call into OpenSSL costs more than 16 bytes are worth. */
export const systemRandom: Random = {
  bytes(length: number): Uint8Array {
    if (length > 64) return randomFillSync(new Uint8Array(length))
    if (used + length > pool.length) {
      randomFillSync(pool)
      used = 0
    }
    const bytes = pool.slice(used, used + length)
    used += length
    return bytes
  },
  fraction: () => Math.random(),
}

/** Node's SHA-256 and HMAC. */
export const nodeDigest: Digest = {
  sha256: (bytes) => hash('sha256', bytes, 'base64url'),
  hasher(): Hasher {
    const running = createHash('sha256')
    return { update: (bytes) => void running.update(bytes), digest: () => running.digest('base64url') }
  },
  hmac(key, parts) {
    const running = createHmac('sha256', key)
    for (const part of parts) {
      const length = typeof part === 'string' ? Buffer.byteLength(part) : part.length
      running.update(`${length}:`)
      running.update(part)
    }
    return running.digest('base64url')
  },
}
