/** RabbitMQ, by amqplib: a consumer of a queue whose messages are idempotent operations. It translates; queue/consumer.ts decides. */
import type { ConfirmChannel, ConsumeMessage, RecoveringChannelModel } from 'amqplib'
import type { Broker, Delivery, Take, Verdict } from './broker.ts'
import { Copies } from './rabbitmq-copies.ts'
import { type Consumer, type Handler, invalid } from './rules.ts'
import { type BrokerNeeds, type QueueOptions, startConsumer } from './start.ts'

/** The engine's options, the consumer's, and RabbitMQ's. */
export interface RabbitmqOptions extends QueueOptions<ConsumeMessage> {
  /** Made by `connect(url, { recovery: true })`, or a restart of the broker would end the consumer. Stays yours to close. */
  readonly connection: RecoveringChannelModel
  /** An existing queue; best a quorum queue, which counts deliveries. */
  readonly queue: string
  /** How many messages this process works on at a time. Default 1. */
  readonly concurrency?: number
  /** The queue for parked messages, made if there is none of this name. Default `QUEUE.dead`. */
  readonly deadLetter?: string
  /** The server's `consumer_timeout`, which a client cannot ask for, ms. Default 1,800,000: RabbitMQ's own. */
  readonly consumerTimeoutMs?: number
}

/** Starts a consumer. The key is the message's `messageId` property; one without is parked. */
export function idempotentConsumer(
  options: RabbitmqOptions,
  handler: Handler<ConsumeMessage, unknown>,
): Promise<Consumer> {
  return startConsumer((needs) => rabbitmqBroker(options, needs), options, handler)
}

async function rabbitmqBroker(options: RabbitmqOptions, { trouble }: BrokerNeeds): Promise<Broker<ConsumeMessage>> {
  const { connection, queue } = options
  if (!('waitForConnect' in connection))
    throw invalid(
      'The connection would not come back after a restart of RabbitMQ: make it by connect(url, { recovery: true }).',
    )
  const visibility = await patienceOf(options)
  const subscription = new Subscription(options, trouble)
  return {
    queue,
    visibility,
    keepsValues: false,
    start: (take) => subscription.start(take),
    stop: () => subscription.stop(),
  }
}

/** The shorter of how long RabbitMQ waits for an acknowledgement, and for a sign of life of the connection. */
async function patienceOf(options: RabbitmqOptions): Promise<Broker<ConsumeMessage>['visibility']> {
  const timeout = { setting: 'consumerTimeoutMs', ms: options.consumerTimeoutMs ?? 1_800_000 }
  const channel = await options.connection.createChannel()
  // What client and server agreed on, in seconds; 0 is none.
  const { heartbeat = 0 } = channel.connection as { readonly heartbeat?: number }
  await channel.close()
  return heartbeat > 0 && heartbeat * 1_000 < timeout.ms ? { setting: 'heartbeat', ms: heartbeat * 1_000 } : timeout
}

/** The consumer's channel, opened anew when it or its connection is gone. */
class Subscription {
  readonly #options: RabbitmqOptions
  readonly #trouble: (error: unknown) => void
  #take: Take<ConsumeMessage> | undefined
  #channel: ConfirmChannel | undefined
  #tag = ''
  #stopping = false
  #busy = 0
  #idle: (() => void) | undefined

  constructor(options: RabbitmqOptions, trouble: (error: unknown) => void) {
    this.#options = options
    this.#trouble = trouble
  }

  async start(take: Take<ConsumeMessage>): Promise<void> {
    this.#take = take
    // Without a listener an error of the connection would end the process.
    this.#options.connection.on('error', this.#trouble)
    await this.#open()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#channel?.cancel(this.#tag).catch(this.#trouble)
    if (this.#busy > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    await this.#channel?.close().catch(this.#trouble)
    this.#options.connection.removeListener('error', this.#trouble)
  }

  async #open(): Promise<void> {
    const { connection, queue, concurrency = 1, deadLetter = `${queue}.dead` } = this.#options
    const copies = await Copies.open(connection, queue, deadLetter)
    const channel = copies.channel
    // Stopped while the connection was away.
    if (this.#stopping) return channel.close()
    channel.on('error', this.#trouble)
    channel.once('close', () => void this.#reopen())
    await channel.prefetch(concurrency)
    const listen = (message: ConsumeMessage | null): void => {
      // The queue was deleted, or its leader moved: a new channel will tell.
      if (message === null) void channel.close().catch(this.#trouble)
      else void this.#deliver(message, copies)
    }
    this.#tag = (await channel.consume(queue, listen)).consumerTag
    this.#channel = channel
  }

  /** Waits for the connection to come back, and consumes again. */
  async #reopen(): Promise<void> {
    this.#channel = undefined
    for (let pauseMs = 100; !this.#stopping; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      try {
        return await this.#open()
      } catch (error) {
        this.#trouble(error)
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  async #deliver(message: ConsumeMessage, copies: Copies): Promise<void> {
    this.#busy += 1
    try {
      const verdict = await this.#take?.(deliveryOf(message))
      if (verdict !== undefined) await carryOut(verdict, message, copies)
    } catch (error) {
      // On a channel that is closed nothing can be acknowledged: the message comes again.
      this.#trouble(error)
    }
    this.#busy -= 1
    if (this.#busy === 0) this.#idle?.()
  }
}

async function carryOut(verdict: Verdict, message: ConsumeMessage, copies: Copies): Promise<void> {
  if (verdict.kind === 'give_back') await copies.delay(message, verdict.afterMs)
  if (verdict.kind === 'park') await copies.park(message, verdict.parked)
  copies.channel.ack(message)
}

function deliveryOf(message: ConsumeMessage): Delivery<ConsumeMessage> {
  const { properties, content, fields } = message
  // Quorum queues count deliveries that were not acknowledged; a classic queue only knows that there was one.
  const counted: unknown = properties.headers?.['x-delivery-count']
  const deaths = typeof counted === 'number' ? counted : fields.redelivered ? 1 : 0
  const id: unknown = properties.messageId
  return { message, id: typeof id === 'string' ? id : undefined, body: content, deaths }
}
