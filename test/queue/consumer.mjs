// A consumer process: `node consumer.mjs JSON`. It pays at the provider for each message, by the library or without it, and dies as it is told.
import { Agent, request } from 'node:http'
import { lmdbStore } from 'oncekey/lmdb'

const {
  broker,
  url,
  queues,
  store: path,
  provider,
  die,
  naive = false,
  visibilityMs,
  ...options
} = JSON.parse(process.argv[2])
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const kill = () => process.kill(process.pid, 'SIGKILL')
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)

/** One call; `head` hears when the provider has it. Resolves with the answer's text. */
function call(method, id, head) {
  return new Promise((resolve, reject) => {
    const sent = request(`${provider}/${encodeURIComponent(id)}`, { method, agent }, (response) => {
      head?.()
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () => resolve(text)).on('error', reject)
    })
    sent.on('error', reject).end()
  })
}

/** What the user of the library writes. The effect comes after `dispatching`; under `reconcile` a later attempt looks for it first. */
const handlerOf = (idOf) => async (message, attempt) => {
  const id = idOf(message)
  if (die === 'before') kill()
  const looks = options.onAbandoned === 'reconcile' && attempt.number > 1
  if (looks && (await call('GET', id)) !== '0') return { found: true }
  await attempt.dispatching()
  attempt.signal.throwIfAborted()
  const text = await call('POST', id, die === 'during' ? kill : undefined)
  if (die === 'after') kill()
  return { text }
}

const ids = {
  bullmq: (job) => job.data.id,
  nats: (message) => message.json().id,
  rabbitmq: (message) => JSON.parse(message.content.toString()).id,
}

// A process loads the client of its own broker only: it starts in half the time.
const natsParts = () =>
  Promise.all([import('oncekey/nats'), import('@nats-io/transport-node'), import('@nats-io/jetstream')])

async function protectedConsumers() {
  const store = lmdbStore(path)
  const shared = {
    store,
    ...options,
    observer: (event) => {
      if (die === 'settled' && event.kind === 'settled') kill()
    },
    onVerdict: ({ kind, parked }) => options.quiet || say([kind, parked?.reason]),
    onTrouble: (error) => say(['trouble', error.message]),
    key: (message) => {
      if (die === 'unclaimed') kill()
      return ids[broker](message)
    },
  }
  const handler = handlerOf(ids[broker])
  const start = {
    bullmq: async () => {
      const { idempotentConsumer } = await import('oncekey/bullmq')
      const connection = { url, maxRetriesPerRequest: null }
      // Looks for the jobs of the dead more often than it would, for the tests' sake.
      const worker = { lockDuration: visibilityMs, stalledInterval: options.leaseMs / 2 }
      return (queue) => idempotentConsumer({ ...shared, queue, connection, worker }, handler)
    },
    nats: async () => {
      const [{ idempotentConsumer }, { connect: connectNats }] = await natsParts()
      const connection = await connectNats({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
      return (stream) => idempotentConsumer({ ...shared, connection, stream, consumer: 'worker' }, handler)
    },
    rabbitmq: async () => {
      const { idempotentConsumer } = await import('oncekey/rabbitmq')
      const { connect: connectRabbitmq } = await import('amqplib')
      const connection = await connectRabbitmq(`${url}?heartbeat=${Math.round(visibilityMs / 1000)}`, {
        recovery: true,
      })
      return (queue) => idempotentConsumer({ ...shared, connection, queue }, handler)
    },
  }
  const consume = await start[broker]()
  return Promise.all(queues.map(consume))
}

/** The control: the same work, acknowledged after the effect, with what the brokers' own clients give. */
async function naiveConsumers() {
  const pay = async (id) => {
    await call('POST', id)
    if (die !== undefined) kill()
  }
  const { concurrency = 1 } = options
  const start = {
    bullmq: async (queue) => {
      const { Worker } = await import('bullmq')
      const times = { lockDuration: visibilityMs, stalledInterval: visibilityMs / 4, maxStalledCount: 100 }
      return new Worker(queue, (job) => pay(job.data.id), { connection: { url }, concurrency, ...times })
    },
    nats: async (stream) => {
      const [, { connect: connectNats }, { jetstream }] = await natsParts()
      const connection = await connectNats({ servers: url })
      const consumer = await jetstream(connection).consumers.get(stream, 'worker')
      const callback = async (message) => {
        await pay(message.json().id)
        message.ack()
      }
      await consumer.consume({ max_messages: concurrency, callback })
    },
    rabbitmq: async (queue) => {
      const { connect: connectRabbitmq } = await import('amqplib')
      const connection = await connectRabbitmq(`${url}?heartbeat=${Math.round(visibilityMs / 1000)}`)
      connection.on('error', () => {})
      const channel = await connection.createChannel()
      channel.on('error', () => {})
      await channel.prefetch(concurrency)
      await channel.consume(queue, async (message) => {
        await pay(JSON.parse(message.content.toString()).id)
        channel.ack(message)
      })
    },
  }
  return Promise.all(queues.map(start[broker]))
}

const consumers = await (naive ? naiveConsumers() : protectedConsumers())
say(['ready'])
process.once('SIGTERM', async () => {
  await Promise.all(consumers.map((consumer) => consumer?.close?.()))
  process.exit(0)
})
