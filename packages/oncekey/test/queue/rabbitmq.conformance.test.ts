/** RabbitMQ's adapter on a real server: the suite, and what only RabbitMQ has. */
import { type ConfirmChannel, type ConsumeMessage, connect, type RecoveringChannelModel } from 'amqplib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Server, startRabbitmq } from '../../../../scripts/services.mjs'
import { idempotentConsumer, type RabbitmqOptions } from '../../src/queue/rabbitmq.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type OpenedQueue, queueConformance } from '../../src/testing/index.ts'
import { chargedOnce, printedBy } from './example.ts'
import { until } from './until.ts'

let server: Server
let connection: RecoveringChannelModel
let channel: ConfirmChannel
beforeAll(async () => {
  // Looks every second, not every minute, for consumers that have not acknowledged in time.
  server = await startRabbitmq({ settings: { consumer_timeout: '8000' }, internals: { channel_tick_interval: '1000' } })
  connection = await connect(server.url, { recovery: true })
  channel = await connection.createConfirmChannel()
}, 60_000)
afterAll(async () => {
  await connection.close()
  await server.stop()
})

let made = 0

/** A connection whose heartbeat, in whole seconds, is what the suite wants the broker's patience to be. */
function impatient(): Promise<RecoveringChannelModel> {
  return connect(`${server.url}?heartbeat=1`, { recovery: true })
}

async function send(queue: string, id: string | undefined, body: unknown): Promise<void> {
  const content = Buffer.from(JSON.stringify(body))
  await new Promise<void>((resolve, reject) => {
    const options = { persistent: true, ...(id === undefined ? {} : { messageId: id }) }
    channel.sendToQueue(queue, content, options, (error) => (error == null ? resolve() : reject(error)))
  })
}

/** Takes a look at all messages of a queue and leaves them there. */
async function peek(queue: string): Promise<string[]> {
  const looking = await connection.createChannel()
  const texts: string[] = []
  for (let message = await looking.get(queue); message !== false; message = await looking.get(queue))
    texts.push(JSON.stringify(message.properties))
  await looking.close()
  return texts
}

/**
 * AMQP does not tell how many messages are in consumers' hands, so what the adapter acknowledges and sends is counted; at the
 * end the queues themselves must agree.
 */
function counted(model: RecoveringChannelModel, queue: string, count: { left: number; delays: Set<string> }): void {
  const create = model.createConfirmChannel.bind(model)
  model.createConfirmChannel = async (options) => {
    const own = await create(options)
    const [ack, sendToQueue] = [own.ack.bind(own), own.sendToQueue.bind(own)]
    own.ack = (...args) => {
      count.left -= 1
      ack(...args)
    }
    own.sendToQueue = (name, ...args) => {
      if (name !== `${queue}.dead`) count.left += 1
      if (name.includes('.delay.')) count.delays.add(name)
      return sendToQueue(name, ...args)
    }
    return own
  }
}

async function open(): Promise<OpenedQueue> {
  const queue = `orders${made++}`
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  const count = { left: 0, delays: new Set<string>() }
  const connections: RecoveringChannelModel[] = []
  return {
    async send(id, body) {
      count.left += 1
      await send(queue, id, body)
    },
    async consume({ visibilityMs, ...options }, handler) {
      const own = await impatient()
      connections.push(own)
      counted(own, queue, count)
      const consumerTimeoutMs = visibilityMs
      return idempotentConsumer({ ...options, connection: own, queue, consumerTimeoutMs }, handler)
    },
    bodyOf: (message) => JSON.parse((message as ConsumeMessage).content.toString()),
    parked: () => peek(`${queue}.dead`),
    left: async () => count.left,
    async close() {
      for (const own of connections) await own.close()
      const left = async (): Promise<number> => {
        let sum = 0
        for (const name of [queue, ...count.delays]) sum += (await channel.checkQueue(name)).messageCount
        return sum
      }
      await until('what the queues hold', async () => (await left()) === count.left)
    },
  }
}

describe('RabbitMQ', () => {
  queueConformance({ test: test.concurrent }, { open, store: () => memoryStore() })

  test.concurrent('an execution longer than consumer_timeout loses its channel, is delivered again, and is not repeated', async () => {
    const queue = `orders${made++}`
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    const [verdicts, troubles]: [string[], string[]] = [[], []]
    let executed = 0
    const store = memoryStore()
    const consumer = await idempotentConsumer(
      {
        ...{ store, onAbandoned: 'unknown', connection, queue, leaseMs: 500, skewMs: 100, consumerTimeoutMs: 8_000 },
        onVerdict: ({ kind }) => void verdicts.push(kind),
        onTrouble: ({ message }) => void troubles.push(message),
      },
      async () => {
        executed += 1
        await new Promise((resolve) => setTimeout(resolve, 11_000))
      },
    )
    await send(queue, 'one', 1)
    await until('both ends', () => verdicts.filter((kind) => kind === 'acknowledge').length === 2, 20_000)
    expect([executed, verdicts.includes('give_back'), verdicts.includes('park')]).toEqual([1, true, false])
    expect(troubles.join()).toMatch(/timed out/i)
    await consumer.close()
    expect((await channel.checkQueue(queue)).messageCount).toBe(0)
  })
})

describe('RabbitMQ alone', () => {
  const options = (queue: string, over: Partial<RabbitmqOptions> = {}): RabbitmqOptions => ({
    store: memoryStore(),
    onAbandoned: 'unknown',
    connection,
    queue,
    ...over,
  })

  test('refuses a queue that is not there, and a connection that would not come back', async () => {
    await expect(idempotentConsumer(options('nowhere'), () => undefined)).rejects.toThrow(/There is no queue "nowhere"/)
    const plain = await connect(server.url)
    const start = idempotentConsumer(
      options('nowhere', { connection: plain as unknown as RecoveringChannelModel }),
      () => undefined,
    )
    await expect(start).rejects.toThrow(/recovery: true/)
    await plain.close()
  })

  test('refuses a lease as long as the heartbeat', async () => {
    const own = await impatient()
    const start = idempotentConsumer(options('nowhere', { connection: own, leaseMs: 1_000 }), () => undefined)
    await expect(start).rejects.toThrow(/heartbeat of "nowhere" is 1000 ms and must be longer than leaseMs \(1000 ms\)/)
    await own.close()
  })

  test('its example charges once for a message that is sent twice', async () => {
    expect(await printedBy('rabbitmq.mjs', { AMQP_URL: server.url })).toBe(chargedOnce)
  })
})
