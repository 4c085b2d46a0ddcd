/** NATS JetStream: a durable consumer whose messages are idempotent operations. It translates; queue/consumer.ts decides. */
import {
  AckPolicy,
  type ConsumerInfo,
  type ConsumerMessages,
  type Consumer as JetStreamConsumer,
  type JetStreamManager,
  type JsMsg,
  jetstreamManager,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Broker, Delivery, Take } from './broker.ts'
import { deadLetters, type Park } from './nats-dead-letters.ts'
import { type Consumer, type Handler, invalid } from './rules.ts'
import { type BrokerNeeds, type QueueOptions, startConsumer } from './start.ts'

/** The engine's options, the consumer's, and JetStream's. */
export interface NatsOptions extends QueueOptions<JsMsg> {
  /** Stays yours to drain and close. */
  readonly connection: NatsConnection
  readonly stream: string
  /** The durable consumer; made, for all subjects of the stream, if there is none of this name. */
  readonly consumer: string
  /** How many messages this process works on at a time. Default 1. */
  readonly concurrency?: number
  /**
   * The subject on which parked messages are published. It must belong to a stream, and not to the one that is consumed.
   * Default `STREAM_dead.CONSUMER`, for which a stream `STREAM_dead` is made.
   */
  readonly deadLetter?: string
}

/** Starts a consumer. The key is the header `Nats-Msg-Id` or, without it, the message's sequence in the stream. */
export function idempotentConsumer(options: NatsOptions, handler: Handler<JsMsg, unknown>): Promise<Consumer> {
  return startConsumer((needs) => natsBroker(options, needs), options, handler)
}

/** NATS counts give-backs as deliveries too: this many are forgiven, which is nine hours behind a long original. */
const forgivenDeliveries = 1_000

/** How long a pull waits at the server before it is sent again, ms: a server that was restarted knows nothing of the last. */
const pullMs = 5_000

/** Where deliveries come from, and what their ids are made of. */
interface Source {
  readonly consumer: JetStreamConsumer
  readonly take: Take<JsMsg>
  readonly park: Park
  readonly trouble: (error: unknown) => void
  /** When the stream was made: sequences are counted from 1 again in a new one of its name. */
  readonly created: string
}

async function natsBroker(options: NatsOptions, { leaseMs, trouble }: BrokerNeeds): Promise<Broker<JsMsg>> {
  const { connection, stream, consumer: name, concurrency = 1, deadLetter } = options
  const manager = await jetstreamManager(connection)
  const { config } = await ensured(manager, stream, name, leaseMs)
  const { created } = await manager.streams.info(stream)
  const park = await deadLetters(manager, { stream, consumer: name, subject: deadLetter })
  const pulls = new Set<ConsumerMessages>()
  let stopping = false
  let slots: Promise<void>[] = []

  /** One message after another. A pull a message: one that was fetched ahead would use up its time in our memory. */
  async function slot(source: Source): Promise<void> {
    while (!stopping) {
      let pull: ConsumerMessages | undefined
      try {
        pull = await source.consumer.fetch({ max_messages: 1, expires: pullMs })
        pulls.add(pull)
        for await (const message of pull) {
          // What comes in during the stop is for others.
          if (stopping) message.nak()
          else await carryOut(source, message)
        }
      } catch (error) {
        if (stopping) return
        if (connection.isClosed())
          return trouble(new Error(`The NATS connection is closed, and the consumer of "${stream}" with it.`))
        trouble(error)
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      } finally {
        if (pull !== undefined) pulls.delete(pull)
      }
    }
  }

  return {
    queue: `${stream}/${name}`,
    visibility: { setting: 'ack_wait', ms: Math.min(...(config.backoff ?? [config.ack_wait ?? 0])) / 1e6 },
    keepsValues: false,
    async start(take) {
      const consumer = await manager.jetstream().consumers.get(stream, name)
      const source = { consumer, take, park, trouble, created }
      slots = Array.from({ length: concurrency }, () => slot(source))
    },
    async stop() {
      stopping = true
      for (const pull of pulls) pull.stop()
      await Promise.all(slots)
      // Acknowledgements are sent without waiting; those of the last messages are to be there before the caller goes on.
      if (!connection.isClosed()) await connection.flush().catch(trouble)
    },
  }
}

async function carryOut({ take, park, trouble, created }: Source, message: JsMsg): Promise<void> {
  const verdict = await take(deliveryOf(message, created))
  try {
    if (verdict.kind === 'park') await park(message, verdict.parked)
    if (verdict.kind === 'give_back') message.nak(verdict.afterMs)
    else message.ack()
  } catch (error) {
    // Not acknowledged, so it comes again, and is parked then.
    trouble(error)
  }
}

function deliveryOf(message: JsMsg, created: string): Delivery<JsMsg> {
  const sent = message.headers?.get('Nats-Msg-Id')
  return {
    message,
    id: sent === undefined || sent === '' ? `${message.seq}@${created}` : sent,
    body: message.data,
    deaths: Math.max(0, message.info.deliveryCount - 1 - forgivenDeliveries),
    extend: () => message.working(),
  }
}

/** The durable consumer as it is, made if it is not there; refused where NATS would drop messages behind our back. */
async function ensured(
  manager: JetStreamManager,
  stream: string,
  name: string,
  leaseMs: number,
): Promise<ConsumerInfo> {
  const found = await manager.consumers.info(stream, name).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'ConsumerNotFoundError') return undefined
    throw error
  })
  if (found === undefined) {
    const config = { durable_name: name, ack_policy: AckPolicy.Explicit, ack_wait: 2 * leaseMs * 1e6, max_deliver: -1 }
    return manager.consumers.add(stream, config)
  }
  const { ack_policy, max_deliver = -1 } = found.config
  if (ack_policy !== AckPolicy.Explicit)
    throw invalid(`The consumer "${name}" of "${stream}" must have ack_policy "explicit" and has "${ack_policy}".`)
  if (max_deliver > 0)
    throw invalid(
      `The consumer "${name}" of "${stream}" has max_deliver ${max_deliver}: after so many deliveries NATS would drop a message without a word. Set it to -1; "attempts" limits them.`,
    )
  return found
}
