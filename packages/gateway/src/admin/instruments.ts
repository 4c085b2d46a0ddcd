/** Every metric there is, with its labels and its buckets; `docs/reference/metrics.md` lists the same. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Seconds, for calls of a store: fractions of a millisecond on LMDB, two seconds at most. */
const storeSeconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
/** Seconds and tokens as OpenTelemetry's GenAI conventions have them (gen-ai-metrics.md). */
const operationSeconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const tokens = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]

const place = ['upstream', 'route', 'model'] as const
const genAi = [
  'gen_ai_operation_name',
  'gen_ai_provider_name',
  'gen_ai_response_model',
  'server_address',
  'server_port',
] as const

/** What is counted and measured, of one process. */
export interface Instruments {
  readonly registry: Registry
  readonly requests: Counter<'upstream' | 'route' | 'how' | 'status'>
  readonly requestSeconds: Histogram<'how'>
  readonly upstreamSeconds: Histogram<'upstream'>
  readonly upstreamFailures: Counter<'upstream' | 'code'>
  readonly claims: Counter<'by'>
  readonly settled: Counter<'as'>
  readonly leasesLost: Counter<'reason'>
  readonly incidents: Counter<'what'>
  readonly swept: Counter<'as'>
  readonly storeSeconds: Histogram<'call'>
  readonly storeFailures: Counter<'call'>
  readonly calls: Counter<'upstream' | 'route' | 'model' | 'ended'>
  readonly spent: Counter<'upstream' | 'route' | 'model'>
  readonly spared: Counter<'upstream' | 'route' | 'model' | 'how'>
  readonly saved: Counter<'upstream' | 'route' | 'model' | 'how'>
  readonly operationSeconds: Histogram<(typeof genAi)[number] | 'error_type'>
  readonly firstChunkSeconds: Histogram<(typeof genAi)[number]>
  readonly tokens: Histogram<(typeof genAi)[number] | 'gen_ai_token_type'>
}

/** What a gauge reads when it is asked. */
export interface Levels {
  readonly open: number
  readonly running: number
  readonly waiting: number
  readonly bodyBytes: number
}

/** A registry of its own, so that nothing else gets into it. */
export function instrumentsOf(levels: () => Levels): Instruments {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const make = makerOf(registry)
  gauges(registry, levels)
  return {
    registry,
    requests: make.counter('oncekey_requests_total', 'Requests answered.', ['upstream', 'route', 'how', 'status']),
    requestSeconds: make.histogram(
      'oncekey_request_duration_seconds',
      'To the end of a request.',
      ['how'],
      operationSeconds,
    ),
    upstreamSeconds: make.histogram(
      'oncekey_upstream_head_seconds',
      "From a covered request's dispatch to the head of its answer.",
      ['upstream'],
      operationSeconds,
    ),
    upstreamFailures: make.counter('oncekey_upstream_failures_total', 'Calls that broke.', ['upstream', 'code']),
    claims: make.counter('oncekey_claims_total', 'Claims that were granted.', ['by']),
    settled: make.counter('oncekey_settled_total', 'Executions whose end was recorded.', ['as']),
    leasesLost: make.counter('oncekey_leases_lost_total', 'Executions that lost their lease.', ['reason']),
    incidents: make.counter('oncekey_incidents_total', 'What needs a look.', ['what']),
    swept: make.counter('oncekey_swept_total', 'Records that the sweeper has ended or removed.', ['as']),
    storeSeconds: make.histogram('oncekey_store_call_duration_seconds', 'Calls of the store.', ['call'], storeSeconds),
    storeFailures: make.counter('oncekey_store_failures_total', 'Calls of the store that failed.', ['call']),
    calls: make.counter('oncekey_upstream_calls_total', 'Executions, by what is known of their cost.', [
      ...place,
      'ended',
    ]),
    spent: make.counter('oncekey_spent_dollars_total', 'US dollars that executions cost.', place),
    spared: make.counter('oncekey_spared_total', 'Requests answered without an execution.', [...place, 'how']),
    saved: make.counter('oncekey_saved_dollars_total', 'US dollars that they would have cost.', [...place, 'how']),
    operationSeconds: make.histogram(
      'gen_ai_client_operation_duration_seconds',
      'GenAI operation duration.',
      [...genAi, 'error_type'],
      operationSeconds,
    ),
    firstChunkSeconds: make.histogram(
      'gen_ai_client_operation_time_to_first_chunk_seconds',
      'Time to the first chunk of a streamed answer.',
      genAi,
      operationSeconds,
    ),
    tokens: make.histogram(
      'gen_ai_client_token_usage',
      'Number of input and output tokens used.',
      [...genAi, 'gen_ai_token_type'],
      tokens,
    ),
  }
}

function makerOf(registry: Registry) {
  const registers = [registry]
  return {
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
      new Counter({ name, help, labelNames, registers }),
    histogram: <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[],
      buckets: number[],
    ): Histogram<L> => new Histogram({ name, help, labelNames, buckets, registers }),
  }
}

function gauges(registry: Registry, levels: () => Levels): void {
  const level = (name: string, help: string, of: keyof Levels): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect(this: Gauge): void {
        this.set(levels()[of])
      },
    })
  }
  level('oncekey_requests_open', 'Requests that are being answered.', 'open')
  level('oncekey_operations_running', 'Executions under way, those without a caller among them.', 'running')
  level('oncekey_waiters', 'Requests that wait for an execution.', 'waiting')
  level('oncekey_body_bytes', 'Bytes of request bodies in memory.', 'bodyBytes')
}
