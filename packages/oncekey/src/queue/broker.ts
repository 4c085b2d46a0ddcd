/** The port to a queue's broker: it hands messages out, and is told of each what becomes of it. */
import type { ErrorCode } from '../core/errors.ts'

/** One message as its broker handed it out. */
export interface Delivery<Message> {
  /** What the handler is given: the broker's own object. */
  readonly message: Message
  /** The producer's name for the message, the same however often he sends it; undefined when it has none. */
  readonly id: string | undefined
  /** What the fingerprint is made of: a JSON value or bytes. Two messages with one id and other bodies are a mismatch. */
  readonly body: unknown
  /**
   * How many consumers died, or stood still, with this message in their hands, as far as the broker counts. Give-backs
   * are no deaths. 0 where it cannot tell.
   */
  readonly deaths: number
  /** Sets the broker's visibility time-out back to its start. Left out where the broker's client does so by itself. */
  extend?(): Promise<void> | void
}

/** Why a message was parked: what the engine refused it for, or what became of its handler. */
export type ParkReason = ErrorCode | 'handler_final' | 'attempts_exhausted' | 'consumers_died' | 'message_without_id'

/** What people find beside a parked message. */
export interface Parked {
  readonly reason: ParkReason
  /** One sentence or two: what happened, and what to do. */
  readonly sentence: string
  /** Of the operation, for `inspect` and `resolve`; undefined where there was none yet. */
  readonly recordId: string | undefined
}

/** What becomes of a message. Only `acknowledge` and `park` take it off the queue. */
export type Verdict =
  /** Executed and settled, by whomever. `value` is the handler's, for brokers that keep one. */
  | { readonly kind: 'acknowledge'; readonly value: unknown }
  /** To be handed out again, not before `afterMs`. `why` is for logs. */
  | { readonly kind: 'give_back'; readonly afterMs: number; readonly why: string }
  /** To be put where people look, with the reason, and only then acknowledged. */
  | { readonly kind: 'park'; readonly parked: Parked }

/** Decides about one message; never rejects. It is asked for at most `concurrency` messages at a time. */
export type Take<Message> = (delivery: Delivery<Message>) => Promise<Verdict>

/** What an adapter implements. It translates and decides nothing; a verdict that cannot be carried out loses no message. */
export interface Broker<Message> {
  /** The name of the queue: the scope of its operations. Two groups that each get every message have two names. */
  readonly queue: string
  /** How long the broker waits for a verdict before it hands the message to another consumer, and the name of that setting. */
  readonly visibility: { readonly setting: string; readonly ms: number }
  /** Does the broker keep a handler's value? Otherwise none is recorded. */
  readonly keepsValues: boolean
  /** Begins to take messages; resolves when it does. */
  start(take: Take<Message>): Promise<void>
  /** Takes no more; resolves when the verdicts on those that were taken are carried out. */
  stop(): Promise<void>
}
