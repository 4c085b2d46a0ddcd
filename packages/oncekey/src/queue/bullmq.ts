/** BullMQ: a worker whose jobs are idempotent operations. It translates; queue/consumer.ts decides. */
import { DelayedError, type Job, UnrecoverableError, Worker, type WorkerOptions } from 'bullmq'
import type { Broker, Delivery, Parked, Take } from './broker.ts'
import type { Consumer, Handler } from './rules.ts'
import { type QueueOptions, startConsumer } from './start.ts'

/** The engine's options, the consumer's, and BullMQ's. */
export interface BullmqOptions<Data = unknown> extends QueueOptions<Job<Data>> {
  /** The queue's name. */
  readonly queue: string
  readonly connection: WorkerOptions['connection']
  /** How many jobs this process works on at a time. Default 1. */
  readonly concurrency?: number
  /**
   * Whatever else a BullMQ worker takes. `lockDuration` (default twice `leaseMs`) must be longer than the lease;
   * `stalledInterval` defaults to it.
   */
  readonly worker?: Omit<
    WorkerOptions,
    'connection' | 'concurrency' | 'autorun' | 'maxStalledCount' | 'skipLockRenewal'
  >
}

/** Starts a worker of the queue. A job's id is its key; the handler's value is the job's return value, as JSON. */
export function idempotentConsumer<Data = unknown>(
  options: BullmqOptions<Data>,
  handler: Handler<Job<Data>, unknown>,
): Promise<Consumer> {
  return startConsumer(({ leaseMs, trouble }) => bullmqBroker<Data>(options, leaseMs, trouble), options, handler)
}

function bullmqBroker<Data>(
  { queue, connection, concurrency = 1, worker: rest = {} }: BullmqOptions<Data>,
  leaseMs: number,
  trouble: (error: unknown) => void,
): Broker<Job<Data>> {
  const lockDuration = rest.lockDuration ?? 2 * leaseMs
  let worker: Worker<Data> | undefined
  return {
    queue,
    visibility: { setting: 'lockDuration', ms: lockDuration },
    keepsValues: true,
    async start(take) {
      worker = new Worker<Data>(queue, (job, token) => process(job, token, take, trouble), {
        stalledInterval: lockDuration,
        ...rest,
        lockDuration,
        connection,
        concurrency,
        autorun: false,
        // Deaths are counted by us: BullMQ would fail the job without saying whether it ran.
        maxStalledCount: Number.MAX_SAFE_INTEGER,
      })
      worker.on('error', trouble)
      await worker.waitUntilReady()
      worker.run().catch(trouble)
    },
    async stop() {
      await worker?.close()
    },
  }
}

async function process<Data>(
  job: Job<Data>,
  token: string | undefined,
  take: Take<Job<Data>>,
  trouble: (error: unknown) => void,
): Promise<unknown> {
  const verdict = await take(deliveryOf(job))
  switch (verdict.kind) {
    case 'acknowledge':
      return verdict.value
    case 'park':
      // Parked is where people look, whatever the producer said about failed jobs.
      job.opts.removeOnFail = false
      throw new UnrecoverableError(sentenceOf(verdict.parked))
    case 'give_back':
      // If it cannot be delayed (its lock is lost), BullMQ must not take that for the job's own failure.
      await job.moveToDelayed(Date.now() + verdict.afterMs, token).catch(trouble)
      throw new DelayedError()
  }
}

function deliveryOf<Data>(job: Job<Data>): Delivery<Job<Data>> {
  const { id, name, data, timestamp, stalledCounter } = job
  // Ids that BullMQ made are counted from 1 again when a Redis was emptied; only those are whole numbers.
  const key = id !== undefined && /^\d+$/.test(id) ? `${id}@${timestamp}` : id
  return { message: job, id: key, body: { name, data: data ?? null }, deaths: stalledCounter }
}

/** What stands as `failedReason`. */
function sentenceOf({ reason, sentence, recordId }: Parked): string {
  return `${reason}: ${sentence}${recordId === undefined ? '' : ` (record ${recordId})`}`
}
