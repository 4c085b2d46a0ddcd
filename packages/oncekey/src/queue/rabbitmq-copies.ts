/** What RabbitMQ cannot do to a message it has handed out: delay it, or say why it is dead. So a copy is sent, and it is acknowledged. */
import type { Channel, ConfirmChannel, ConsumeMessage, Options, RecoveringChannelModel } from 'amqplib'
import type { Parked } from './broker.ts'
import { invalid } from './rules.ts'

/** Names the copy in a `return`, which comes without anything else of its publication. */
const ticketHeader = 'x-oncekey-ticket'

/** How long a delay queue outlives the last message that it was made for, ms; longer than any message in it. */
const idleMs = 3_600_000

/** Copies of a queue's messages, over the channel that they are acknowledged on. */
export class Copies {
  readonly channel: ConfirmChannel
  readonly #queue: string
  readonly #deadLetter: string
  readonly #returned = new Set<string>()
  #tickets = 0

  private constructor(channel: ConfirmChannel, queue: string, deadLetter: string) {
    this.channel = channel
    this.#queue = queue
    this.#deadLetter = deadLetter
    channel.on('return', ({ properties }) => this.#returned.add(String(properties.headers?.[ticketHeader])))
  }

  /** Opens the channel; makes the dead-letter queue if there is none. Throws `config_invalid` when there is no such queue. */
  static async open(connection: RecoveringChannelModel, queue: string, deadLetter: string): Promise<Copies> {
    if (!(await exists(connection, queue)))
      throw invalid(`There is no queue "${queue}". Make it first; a quorum queue counts the deliveries of a message.`)
    const dead = await exists(connection, deadLetter)
    const channel = await connection.createConfirmChannel()
    if (!dead) await channel.assertQueue(deadLetter, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    return new Copies(channel, queue, deadLetter)
  }

  /** Resolves when RabbitMQ keeps a copy that comes back after the time. */
  async delay(message: ConsumeMessage, afterMs: number): Promise<void> {
    if (afterMs === 0) return this.#send(message, this.#queue, {})
    const { name, options } = delayQueue(this.#queue, afterMs)
    await this.channel.assertQueue(name, options)
    await this.#send(message, name, {})
  }

  /** Resolves when RabbitMQ keeps a copy in the dead-letter queue. */
  async park(message: ConsumeMessage, { reason, sentence, recordId }: Parked): Promise<void> {
    const why = {
      'x-oncekey-reason': reason,
      'x-oncekey-sentence': sentence,
      'x-oncekey-queue': this.#queue,
      ...(recordId === undefined ? {} : { 'x-oncekey-record-id': recordId }),
    }
    await this.#send(message, this.#deadLetter, why)
  }

  async #send({ content, properties }: ConsumeMessage, queue: string, more: Record<string, string>): Promise<void> {
    this.#tickets += 1
    const ticket = String(this.#tickets)
    // Only the connection's own user may be named, and an expiry would cut the delay short.
    const { userId: _, expiration: __, clusterId: ___, headers = {}, ...rest } = properties
    const { 'x-delivery-count': ____, 'x-acquired-count': _____, ...kept } = headers
    const options: Options.Publish = {
      ...rest,
      persistent: true,
      mandatory: true,
      headers: { ...kept, ...more, [ticketHeader]: ticket },
    }
    await new Promise<void>((resolve, reject) => {
      this.channel.sendToQueue(queue, content, options, (error) => (error == null ? resolve() : reject(error)))
    })
    // RabbitMQ confirms what it could not route, too; it returns it first.
    if (this.#returned.delete(ticket))
      throw new Error(`The queue "${queue}" is gone, so a message could not be put there.`)
  }
}

/** A refused question closes the channel, so it has one of its own. */
async function exists(connection: RecoveringChannelModel, queue: string): Promise<boolean> {
  const channel: Channel = await connection.createChannel()
  channel.on('error', () => undefined)
  try {
    await channel.checkQueue(queue)
    await channel.close()
    return true
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return false
    throw error
  }
}

/**
 * A queue whose messages go back to the main one after a time, the same for all: with times of their own, a short one would wait
 * behind a long one. Times are rounded up by a quarter at most, so that there are few queues. A quorum queue, for only those
 * hand their messages on without losing any in a crash (at-least-once dead-lettering, RabbitMQ 3.10).
 */
function delayQueue(queue: string, afterMs: number): { readonly name: string; readonly options: Options.AssertQueue } {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(afterMs)) - 2)
  const ttl = Math.ceil(afterMs / step) * step
  return {
    name: `${queue}.delay.${ttl}`,
    options: {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-message-ttl': ttl,
        'x-expires': ttl + idleMs,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': queue,
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    },
  }
}
