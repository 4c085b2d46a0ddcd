/** NATS JetStream's adapter on a real server: the suite, and what only NATS has. */
import { AckPolicy, type JetStreamManager, type JsMsg, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Server, startNats } from '../../../../scripts/services.mjs'
import { idempotentConsumer, type NatsOptions } from '../../src/queue/nats.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type OpenedQueue, queueConformance } from '../../src/testing/index.ts'
import { chargedOnce, printedBy } from './example.ts'

let server: Server
let connection: NatsConnection
let manager: JetStreamManager
beforeAll(async () => {
  server = await startNats()
  connection = await connect({ servers: server.url })
  manager = await jetstreamManager(connection)
})
afterAll(async () => {
  await connection.close()
  await server.stop()
})

let made = 0

/** A stream whose own duplicate window is as good as closed: two messages of one id are two. */
async function stream(): Promise<string> {
  const name = `orders${made++}`
  await manager.streams.add({ name, subjects: [name], duplicate_window: 100 * 1e6 })
  return name
}

async function parked(name: string): Promise<string[]> {
  const state = await manager.streams.info(`${name}_dead`)
  const texts: string[] = []
  for (let seq = 1; seq <= state.state.messages; seq++) {
    const message = await manager.streams.getMessage(`${name}_dead`, { seq })
    texts.push([...(message?.header ?? [])].map(([header, values]) => `${header}: ${values.join()}`).join('\n'))
  }
  return texts
}

async function open(): Promise<OpenedQueue> {
  const name = await stream()
  const js = manager.jetstream()
  let last = 0
  return {
    async send(id, body) {
      // Outside the window, as a producer's retry after minutes is.
      const waitMs = last + 150 - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      await js.publish(name, JSON.stringify(body), id === undefined ? {} : { msgID: id })
      last = performance.now()
    },
    async consume({ visibilityMs, ...options }, handler) {
      const config = {
        durable_name: 'worker',
        ack_policy: AckPolicy.Explicit,
        ack_wait: visibilityMs * 1e6,
        max_deliver: -1,
      }
      await manager.consumers.add(name, config)
      return idempotentConsumer({ ...options, connection, stream: name, consumer: 'worker' }, handler)
    },
    bodyOf: (message) => (message as JsMsg).json(),
    parked: () => parked(name),
    async left() {
      const { num_pending, num_ack_pending } = await manager.consumers.info(name, 'worker')
      return num_pending + num_ack_pending
    },
    close: async () => undefined,
  }
}

describe('NATS JetStream', () => {
  queueConformance({ test: test.concurrent }, { open, store: () => memoryStore(), alwaysAnId: true })
})

describe('NATS JetStream alone', () => {
  const options = (name: string, over: Partial<NatsOptions> = {}): NatsOptions => ({
    store: memoryStore(),
    onAbandoned: 'unknown',
    connection,
    stream: name,
    consumer: 'worker',
    ...over,
  })

  test('messages without an id are operations of their own, by their sequence, and two consumers get each', async () => {
    const name = await stream()
    const seen: string[] = []
    const store = memoryStore()
    const consumers = await Promise.all(
      ['one', 'two'].map((consumer) =>
        idempotentConsumer(
          options(name, { store, consumer }),
          (message) => void seen.push(`${consumer} ${message.json()}`),
        ),
      ),
    )
    for (let sent = 1; sent <= 2; sent++) await manager.jetstream().publish(name, '7')
    await expect.poll(() => seen.sort()).toEqual(['one 7', 'one 7', 'two 7', 'two 7'])
    for (const consumer of consumers) await consumer.close()
  })

  test('the consumer that it makes waits twice the lease, and NATS drops nothing by itself', async () => {
    const name = await stream()
    const consumer = await idempotentConsumer(options(name, { leaseMs: 700 }), () => undefined)
    const { config } = await manager.consumers.info(name, 'worker')
    expect([config.ack_wait, config.max_deliver, config.ack_policy]).toEqual([1_400 * 1e6, -1, 'explicit'])
    await consumer.close()
  })

  test.each([
    ['max_deliver', { ack_policy: AckPolicy.Explicit, max_deliver: 5 }, /max_deliver 5: .* drop a message/],
    ['no acknowledgement', { ack_policy: AckPolicy.None }, /must have ack_policy "explicit" and has "none"/],
    [
      "NATS' own ack_wait, which is as long as the usual lease",
      { ack_policy: AckPolicy.Explicit },
      /30000 ms and must be longer/,
    ],
  ])('refuses a consumer with %s', async (_, config, sentence) => {
    const name = await stream()
    await manager.consumers.add(name, { durable_name: 'worker', ...config })
    await expect(idempotentConsumer(options(name), () => undefined)).rejects.toThrow(sentence)
  })

  test('refuses a dead-letter subject that nobody keeps, and one that would be consumed again', async () => {
    const name = await stream()
    const start = (deadLetter: string) => idempotentConsumer(options(name, { deadLetter }), () => undefined)
    await expect(start('nowhere')).rejects.toThrow(/belongs to no stream/)
    await expect(start(name)).rejects.toThrow(/would come again/)
  })

  test('its example charges once for a message that is sent twice', async () => {
    expect(await printedBy('nats.mjs', { NATS_URL: server.url })).toBe(chargedOnce)
  })
})
