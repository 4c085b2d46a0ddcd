/** How one operation waits for its running original, over polls and shared promises, and that it is told how long. */
import type { StoreCalls } from './calls.ts'
import { type Clock, sleep } from './clock.ts'
import { IdempotencyError } from './errors.ts'
import type { Watch } from './instrument.ts'
import type { RecordId } from './key.ts'
import { limits } from './policy.ts'
import type { Random } from './random.ts'
import type { IdempotencyRecord } from './record.ts'
import type { Live, Lives } from './wait.ts'

/** One operation's waiting, which may be for several executions in turn. */
export class Patience {
  readonly #lives: Lives
  readonly #clock: Clock
  readonly #watch: Watch
  readonly #recordId: RecordId
  #sinceMs: number | undefined

  constructor(lives: Lives, clock: Clock, watch: Watch, recordId: RecordId) {
    this.#lives = lives
    this.#clock = clock
    this.#watch = watch
    this.#recordId = recordId
  }

  /** Waits as one of those who are admitted to wait for this execution. */
  wait<T>(live: Live, work: () => Promise<T>): Promise<T> {
    this.#sinceMs ??= this.#clock.monotonicMs()
    return this.#lives.admit(live, work)
  }

  /** The same error; who watches hears of another request under the key. */
  refused(error: unknown): unknown {
    if (error instanceof IdempotencyError && error.code === 'fingerprint_mismatch')
      this.#watch.observer?.({ kind: 'mismatch', recordId: this.#recordId })
    return error
  }

  /** The operation has its answer, or its refusal. */
  over(): void {
    if (this.#sinceMs === undefined) return
    this.#watch.observer?.({ kind: 'waited', recordId: this.#recordId, ms: this.#clock.monotonicMs() - this.#sinceMs })
  }
}

/** A pause of about `ms`, so that many who wait do not come at once. */
export function jittered(random: Random, ms: number): number {
  return ms * (0.75 + random.fraction() / 2)
}

/** Waits for the record that superseded an attempt to settle; undefined if it did not inside the wait. */
export async function outcomeOf(
  { calls, clock, random }: { readonly calls: StoreCalls; readonly clock: Clock; readonly random: Random },
  recordId: RecordId,
  waitMs: number,
): Promise<IdempotencyRecord | undefined> {
  const untilMs = clock.monotonicMs() + waitMs
  for (let pauseMs: number = limits.pollFirstMs; ; pauseMs = Math.min(pauseMs * limits.pollGrowth, limits.pollCapMs)) {
    const answer = await calls.read(recordId).catch(() => undefined)
    if (answer?.record?.state === 'completed') return answer.record
    const running = answer === undefined || answer.record?.state === 'running'
    if (!running || clock.monotonicMs() + pauseMs > untilMs) return undefined
    await sleep(clock, jittered(random, pauseMs))
  }
}
