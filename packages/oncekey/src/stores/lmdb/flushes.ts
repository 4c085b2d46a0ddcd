/** What is on the disk: waiting for it, and knowing it. */
import type { AttemptId, IdempotencyRecord } from '../../core/record.ts'
import { type Environment, keys } from './environment.ts'

/** An outcome younger than this may have been seen before its own process flushed it. */
const unflushedMs = 1_000
/** How many young outcomes are remembered as flushed. */
const remembered = 8_192

/**
 * A commit can be seen, also by other processes, before it is on the disk. Who only ever acknowledges what is flushed
 * must then not replay an outcome that another process has committed and a power cut may still take.
 */
export class Flushes {
  readonly #environment: Environment
  readonly #known = new Set<AttemptId>()

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** Resolves when every commit of this process so far is on the disk. */
  async own(): Promise<void> {
    await this.#environment.flushed
  }

  /** The same for the commits of all processes: a flush of any later commit makes the earlier ones durable. */
  async all(): Promise<void> {
    await this.#environment.put(keys.meta('flush'), Buffer.alloc(1), 1)
    await this.#environment.flushed
  }

  /** Remembers that this outcome is on the disk. */
  note({ attemptId, state }: IdempotencyRecord): void {
    if (state !== 'completed') return
    if (this.#known.size >= remembered) this.#known.clear()
    this.#known.add(attemptId)
  }

  /** Waits until outcomes that another process has only just settled are on the disk: they are about to be replayed. */
  others(
    answers: readonly ({ readonly record: IdempotencyRecord | undefined; readonly nowMs: number } | undefined)[],
  ): Promise<void> | undefined {
    const young: IdempotencyRecord[] = []
    for (const answer of answers) {
      if (answer?.record !== undefined && this.#doubts(answer.record, answer.nowMs)) young.push(answer.record)
    }
    if (young.length === 0) return undefined
    return this.all().then(() => {
      for (const record of young) this.note(record)
    })
  }

  #doubts({ attemptId, state, settledAt }: IdempotencyRecord, nowMs: number): boolean {
    return state === 'completed' && nowMs - settledAt < unflushedMs && !this.#known.has(attemptId)
  }
}
