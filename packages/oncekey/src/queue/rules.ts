/** The options of a consumer with their defaults, and what a start refuses. */
import { IdempotencyError } from '../core/errors.ts'
import type { IdempotencyOptions } from '../core/run.ts'
import type { RunningAttempt } from '../core/running.ts'
import type { Broker, Verdict } from './broker.ts'

/** What the user gives beside the engine's options; each adapter adds its broker's own. */
export interface ConsumerOptions<Message> extends IdempotencyOptions {
  /** The operation's key, where the message's own id is not what the producer keeps over his retries. */
  key?(message: Message): string | undefined
  /**
   * What becomes of a message whose original is executing: `delay` gives it back for a lease and its margin, `wait` holds it,
   * up to `waitMs`, and its place among the `concurrency`. Default `delay`.
   */
  readonly onRunning?: 'delay' | 'wait'
  /** How often a message is executed, or kills its consumer, before it is parked. Default 5. */
  readonly attempts?: number
  /** The pause after the first attempt that threw, and while the store is away; doubles up to 5 min. Default 1,000. */
  readonly backoffMs?: number
  /** Hears what became of each message. Must not throw and is not waited for. */
  onVerdict?(verdict: Verdict, message: Message): void
  /** Hears what went wrong between the consumer and its broker; by default it is printed. Messages are not lost by it. */
  onTrouble?(error: Error): void
}

/** Does the work of a message. What it returns is the operation's value. */
export type Handler<Message, Value> = (message: Message, attempt: RunningAttempt) => Value | Promise<Value>

/** A consumer that takes messages. */
export interface Consumer {
  /** Takes no more messages, waits for running handlers and their acknowledgement, and closes the engine. The store stays open. */
  close(): Promise<void>
}

/** The consumer's own options, filled in; all ms. */
export interface Rules {
  readonly attempts: number
  readonly backoffMs: number
  /** A lease and its margin: never less than what is left of anybody's, at most a third of a lease more. */
  readonly patienceMs: number
  readonly waitMs: number
}

/** The longest back-off: a provider that is down for an hour is tried a dozen times. */
const longestBackoffMs = 300_000

/** The pause after the attempt of this number, from 1. */
export function backoffOf(rules: Rules, number: number): number {
  return Math.min(rules.backoffMs * 2 ** Math.min(Math.max(number, 1) - 1, 30), longestBackoffMs)
}

/** Fills in the consumer's options, and refuses what cannot be right. `waitMs` is 0 unless duplicates wait. */
export function rulesOf<Message>(
  options: ConsumerOptions<Message>,
  policy: { readonly leaseMs: number; readonly skewMs: number; readonly waitMs: number },
): Rules {
  const { onRunning = 'delay', attempts = 5, backoffMs = 1_000 } = options
  if (onRunning !== 'delay' && onRunning !== 'wait')
    throw invalid(`onRunning must be 'delay' or 'wait', not ${JSON.stringify(onRunning)}.`)
  if (!Number.isSafeInteger(attempts) || attempts < 1) throw invalid('attempts must be a whole number, 1 or more.')
  if (!Number.isFinite(backoffMs) || backoffMs < 0) throw invalid('backoffMs must be milliseconds, 0 or more.')
  const waitMs = onRunning === 'wait' ? policy.waitMs : 0
  return { attempts, backoffMs, patienceMs: policy.leaseMs + policy.skewMs, waitMs }
}

/**
 * A broker that loses patience before the lease does would hand a dead consumer's message out while nobody may run it, and
 * one whose consumer only stood still twice.
 */
export function checkVisibility({ visibility, queue }: Broker<never>, leaseMs: number): void {
  if (visibility.ms > leaseMs) return
  throw invalid(
    `${visibility.setting} of "${queue}" is ${visibility.ms} ms and must be longer than leaseMs (${leaseMs} ms): raise it, or shorten the lease.`,
  )
}

/** What a start is refused with. */
export function invalid(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', sentence)
}
