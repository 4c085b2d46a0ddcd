/** One message: key → claim → handler → settle → verdict. The one way through which the messages of every broker go. */
import type { Clock, Timer } from '../core/clock.ts'
import { IdempotencyError } from '../core/errors.ts'
import type { Operation } from '../core/operation.ts'
import type { IdempotencyRecord } from '../core/record.ts'
import type { Idempotency, RunResult } from '../core/run.ts'
import type { RunningAttempt } from '../core/running.ts'
import type { Broker, Delivery, Verdict } from './broker.ts'
import { type Consumer, type ConsumerOptions, type Handler, invalid, type Rules } from './rules.ts'
import { afterFailure, afterRefusal, afterResult, exhausted, giveBack, isRefusal, park } from './verdict.ts'

/** A duplicate that waits looks up this often, so that `close` need not wait for it, ms. */
export const waitSliceMs = 1_000

/** What a consumer is made of. */
export interface ConsumerParts<Message> {
  readonly once: Idempotency
  readonly broker: Broker<Message>
  readonly options: ConsumerOptions<Message>
  readonly rules: Rules
  readonly clock: Clock
  /** Hears what went wrong between the consumer and its broker, or in the user's own callbacks. */
  readonly trouble: (error: unknown) => void
  readonly handler: Handler<Message, unknown>
}

/** What is known of the execution that a delivery caused. */
interface Execution {
  /** Of the attempt, from 1; 0 while there is none. */
  number: number
  recordId: string | undefined
  /** The attempt was granted, and refused because there were enough before it. */
  refused: boolean
}

/** Takes messages from a broker until it is closed. */
export class QueueConsumer<Message> implements Consumer {
  readonly #parts: ConsumerParts<Message>
  /** What handlers threw: of the engine's class too, but no word of this engine's. */
  readonly #thrown = new WeakSet<object>()
  #closing: Promise<void> | undefined

  constructor(parts: ConsumerParts<Message>) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    await this.#parts.broker.start((delivery) => this.take(delivery))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#parts.broker.stop()
    await this.#parts.once.close()
  }

  /** Decides about one message; never rejects. */
  async take(delivery: Delivery<Message>): Promise<Verdict> {
    const { options, rules, trouble } = this.#parts
    const stop = this.#keepVisible(delivery)
    const verdict = await this.#judge(delivery).catch((error: unknown) => {
      trouble(error)
      return giveBack(rules.backoffMs, 'the consumer failed')
    })
    stop()
    try {
      options.onVerdict?.(verdict, delivery.message)
    } catch (error) {
      trouble(error)
    }
    return verdict
  }

  async #judge(delivery: Delivery<Message>): Promise<Verdict> {
    const { rules } = this.#parts
    if (delivery.deaths >= rules.attempts) {
      const sentence = `${delivery.deaths} consumers died or stood still with it: it may be what kills them.`
      return park('consumers_died', sentence)
    }
    let operation: Operation
    try {
      operation = this.#operationOf(delivery)
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error)
      return park('message_without_id', said)
    }
    const untilMs = this.#parts.clock.monotonicMs() + rules.waitMs
    for (;;) {
      const sliceMs = this.#parts.clock.monotonicMs()
      const verdict = await this.#run(operation, delivery)
      if (verdict !== undefined) return verdict
      const nowMs = this.#parts.clock.monotonicMs()
      // One that came back early did not wait: the record may not run before a time that `classify` has set.
      const waits = rules.waitMs > 0 && nowMs - sliceMs >= waitSliceMs / 2
      if (!waits || nowMs >= untilMs || this.#closing !== undefined)
        return giveBack(rules.patienceMs, 'its original is executing')
    }
  }

  #operationOf({ message, id, body }: Delivery<Message>): Operation {
    const { options, broker } = this.#parts
    const key = options.key === undefined ? id : options.key(message)
    if (key === undefined || key === '')
      throw invalid(
        'The message has no id, so nobody could tell its retries from another message. Send it with one, or give the consumer a key(message).',
      )
    return { key, scope: broker.queue, input: body }
  }

  /** Undefined while the original runs. */
  async #run(operation: Operation, delivery: Delivery<Message>): Promise<Verdict | undefined> {
    const { once, rules } = this.#parts
    const execution: Execution = { number: 0, recordId: undefined, refused: false }
    let result: RunResult<unknown>
    try {
      result = await once.runDetailed(operation, (attempt) => this.#execute(attempt, delivery, execution))
    } catch (error) {
      if (isRefusal(error, this.#thrown)) {
        if (execution.refused) return this.#exhausted(operation, execution)
        return error.code === 'in_progress' ? undefined : afterRefusal(error, rules)
      }
      return this.#failed(operation, execution, error)
    }
    return afterResult(result, rules)
  }

  async #execute(attempt: RunningAttempt, delivery: Delivery<Message>, execution: Execution): Promise<unknown> {
    const { handler, broker, rules } = this.#parts
    execution.number = attempt.number
    execution.recordId = attempt.recordId
    if (attempt.number > rules.attempts) {
      execution.refused = true
      throw new IdempotencyError('internal', 'enough attempts')
    }
    try {
      return keepable(await handler(delivery.message, attempt), broker.keepsValues)
    } catch (error) {
      if (typeof error === 'object' && error !== null) this.#thrown.add(error)
      throw error
    }
  }

  async #failed(operation: Operation, { number, recordId }: Execution, error: unknown): Promise<Verdict> {
    const { once, rules } = this.#parts
    const record: IdempotencyRecord | undefined = await once.inspect(operation).catch(() => undefined)
    const verdict = afterFailure({ error, number, record, recordId }, rules)
    if (verdict.kind === 'park' && verdict.parked.reason === 'attempts_exhausted') await this.#forget(operation)
    return verdict
  }

  /** Its consumers died in the middle of the last attempts. */
  async #exhausted(operation: Operation, { number, recordId }: Execution): Promise<Verdict> {
    await this.#forget(operation)
    return exhausted(number - 1, 'its consumer died in the middle', recordId)
  }

  /** A message that somebody takes out of the dead-letter place gets its attempts anew. Nothing of it has been recorded. */
  async #forget(operation: Operation): Promise<void> {
    const { once } = this.#parts
    const record = await once.inspect(operation).catch(() => undefined)
    if (record?.state === 'released') await once.purge(operation).catch(() => undefined)
  }

  /** Keeps the broker from handing the message to somebody else; returns how to stop. */
  #keepVisible(delivery: Delivery<Message>): () => void {
    const { clock, broker, trouble } = this.#parts
    if (delivery.extend === undefined) return () => undefined
    let timer: Timer | undefined
    const extend = async (): Promise<void> => {
      try {
        await delivery.extend?.()
      } catch (error) {
        trouble(error)
      }
    }
    const next = (): void => {
      timer = clock.setTimer(broker.visibility.ms / 3, () => {
        void extend()
        next()
      })
    }
    next()
    return () => timer?.cancel()
  }
}

/** The value as it is recorded: a queue's handler may return what JSON cannot hold, after its effect. */
function keepable(value: unknown, keepsValues: boolean): unknown {
  if (!keepsValues) return undefined
  try {
    return JSON.stringify(value) === undefined ? undefined : value
  } catch {
    return undefined
  }
}
