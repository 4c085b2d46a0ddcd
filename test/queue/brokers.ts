/** The three brokers, real, each with a queue of messages that may be sent twice. */
import { AckPolicy, jetstreamManager } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { connect as connectRabbitmq } from 'amqplib'
import { Queue } from 'bullmq'
import { type Server, startNats, startRabbitmq, startRedis } from '../../scripts/services.mjs'

/** A queue of a broker. */
export interface TestQueue {
  readonly name: string
  /** Sends one message for each id, in this order. The same id twice is a producer's retry that the broker does not see through. */
  send(ids: readonly string[]): Promise<void>
  /** The number of parked messages, and what stands beside them as one text each. */
  parked(): Promise<string[]>
  /** Messages that are neither acknowledged nor parked; of RabbitMQ those that wait, for it does not tell of the others. */
  left(): Promise<number>
}

/** A broker, and how to get queues of it. */
export interface TestBroker {
  readonly name: 'bullmq' | 'nats' | 'rabbitmq'
  readonly server: Server
  /** An empty queue whose broker waits `visibilityMs` for a verdict, where that is the queue's to say. */
  queue(visibilityMs: number): Promise<TestQueue>
  stop(): Promise<void>
}

let made = 0

async function bullmq(): Promise<TestBroker> {
  const server = await startRedis({ settings: { appendfsync: 'everysec' } })
  const queues: Queue[] = []
  return {
    name: 'bullmq',
    server,
    async queue() {
      const name = `queue${made++}`
      const queue = new Queue(name, { connection: { url: server.url } })
      queue.on('error', () => undefined)
      queues.push(queue)
      return {
        name,
        async send(ids) {
          for (let at = 0; at < ids.length; at += 1_000)
            await queue.addBulk(
              ids.slice(at, at + 1_000).map((id) => ({ name: 'pay', data: { id }, opts: { removeOnComplete: true } })),
            )
        },
        parked: async () => (await queue.getFailed()).map(({ failedReason = '' }) => failedReason),
        left: () => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized'),
      }
    },
    async stop() {
      for (const queue of queues) await queue.close()
      await server.stop()
    },
  }
}

async function nats(): Promise<TestBroker> {
  const server = await startNats()
  const connection = await connectNats({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
  const manager = await jetstreamManager(connection)
  const js = manager.jetstream()
  return {
    name: 'nats',
    server,
    async queue(visibilityMs) {
      const name = `queue${made++}`
      await manager.streams.add({ name, subjects: [name] })
      const config = {
        durable_name: 'worker',
        ack_policy: AckPolicy.Explicit,
        ack_wait: visibilityMs * 1e6,
        max_deliver: -1,
      }
      await manager.consumers.add(name, config)
      return {
        name,
        async send(ids) {
          for (let at = 0; at < ids.length; at += 500)
            await Promise.all(ids.slice(at, at + 500).map((id) => js.publish(name, JSON.stringify({ id }))))
        },
        async parked() {
          const { state } = await manager.streams.info(`${name}_dead`)
          const texts = Array.from({ length: state.messages }, async (_, at) => {
            const message = await manager.streams.getMessage(`${name}_dead`, { seq: at + 1 })
            return [...(message?.header ?? [])].map((header) => header.join(': ')).join('\n')
          })
          return Promise.all(texts)
        },
        async left() {
          const { num_pending, num_ack_pending } = await manager.consumers.info(name, 'worker')
          return num_pending + num_ack_pending
        },
      }
    },
    async stop() {
      await connection.close()
      await server.stop()
    },
  }
}

async function rabbitmq(): Promise<TestBroker> {
  const server = await startRabbitmq()
  const connection = await connectRabbitmq(server.url, { recovery: { maxDelay: 200 } })
  connection.on('error', () => undefined)
  return {
    name: 'rabbitmq',
    server,
    async queue() {
      const name = `queue${made++}`
      const channel = await connection.createConfirmChannel()
      await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
      await channel.close()
      return {
        name,
        async send(ids) {
          const sending = await connection.createConfirmChannel()
          for (const id of ids)
            sending.sendToQueue(name, Buffer.from(JSON.stringify({ id })), { persistent: true, messageId: id })
          await sending.waitForConfirms()
          await sending.close()
        },
        async parked() {
          const looking = await connection.createChannel()
          const texts: string[] = []
          for (let one = await looking.get(`${name}.dead`); one !== false; one = await looking.get(`${name}.dead`))
            texts.push(JSON.stringify(one.properties.headers))
          await looking.close()
          return texts
        },
        async left() {
          const looking = await connection.createChannel()
          const { messageCount } = await looking.checkQueue(name)
          await looking.close()
          return messageCount
        },
      }
    },
    async stop() {
      await connection.close()
      await server.stop()
    },
  }
}

/** Each with how it is started. */
export const brokers: readonly (readonly [string, () => Promise<TestBroker>])[] = [
  ['BullMQ', bullmq],
  ['NATS JetStream', nats],
  ['RabbitMQ', rabbitmq],
]
