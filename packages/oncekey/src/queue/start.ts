/** A consumer over any broker, wired to Node's clock, chance and hashing. */
import { policyOf } from '../core/policy.ts'
import { type CreateOptions, createIdempotency } from '../platform/idempotency.ts'
import { systemClock } from '../platform/node.ts'
import type { Broker } from './broker.ts'
import { QueueConsumer, waitSliceMs } from './consumer.ts'
import { type Consumer, type ConsumerOptions, checkVisibility, type Handler, rulesOf } from './rules.ts'

/** The engine's options and the consumer's; an adapter adds its broker's. */
export type QueueOptions<Message> = ConsumerOptions<Message> & CreateOptions

/** What an adapter needs of the options before it can make its broker. */
export interface BrokerNeeds {
  readonly leaseMs: number
  readonly trouble: (error: unknown) => void
}

/**
 * Starts a consumer over the broker that `connect` makes. Resolves when it takes messages; rejects with `config_invalid` for
 * options that cannot be right, before it has taken any.
 */
export async function startConsumer<Message>(
  connect: (needs: BrokerNeeds) => Promise<Broker<Message>> | Broker<Message>,
  options: QueueOptions<Message>,
  handler: Handler<Message, unknown>,
): Promise<Consumer> {
  const policy = policyOf(options)
  const rules = rulesOf(options, policy)
  const trouble = (error: unknown): void => told(options, error)
  const broker = await connect({ leaseMs: policy.leaseMs, trouble })
  checkVisibility(broker as Broker<never>, policy.leaseMs)
  // Waiting is in slices, which `close` can end; a duplicate that is to be given back does not wait at all.
  const once = createIdempotency({ ...options, waitMs: Math.min(rules.waitMs, waitSliceMs) })
  const clock = options.clock ?? systemClock
  const consumer = new QueueConsumer({ once, broker, options, rules, clock, trouble, handler })
  try {
    await consumer.start()
  } catch (error) {
    await consumer.close().catch(() => undefined)
    throw error
  }
  return consumer
}

/** Trouble between consumer and broker is never silent. */
function told<Message>(options: ConsumerOptions<Message>, error: unknown): void {
  const trouble = error instanceof Error ? error : new Error(String(error))
  if (options.onTrouble !== undefined) options.onTrouble(trouble)
  else console.error(`oncekey: the queue's broker is in trouble: ${trouble.message}`)
}
