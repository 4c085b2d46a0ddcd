/** The metrics of one process, made of what its server, its engine and its ledger tell. */
import type { OnceEvent } from 'oncekey/http'
import { AggregatorRegistry, type Registry } from 'prom-client'
import { type Counts, type RowKey, routeOf } from '../ledger/index.ts'
import type { Served } from '../server/index.ts'
import { type Instruments, instrumentsOf, type Levels } from './instruments.ts'
import { operationOf } from './operation.ts'
import { Places } from './places.ts'

/** What an upstream is called in OpenTelemetry's words. */
export interface UpstreamLabel {
  /** `gen_ai.provider.name` */
  readonly provider: string
  /** `server.address` and `server.port` */
  readonly address: string
  readonly port: string
}

/** Places of requests, which have no model, and of the ledger: more than a gateway has, and few for a Prometheus. */
const mostRoutes = 100
const mostPlaces = 100

const spared = ['replayed', 'joined', 'drained', 'resumed'] as const
const incidents = ['superseded', 'unrecorded', 'bypassed', 'undecipherable', 'mismatch'] as const

/** Counts for one process. */
export class Metrics {
  readonly #instruments: Instruments
  readonly #upstreams: ReadonlyMap<string, UpstreamLabel>
  readonly #routes = new Places(mostRoutes)
  readonly #places = new Places(mostPlaces)
  #levels: () => Levels = () => ({ open: 0, running: 0, waiting: 0, bodyBytes: 0 })

  constructor(upstreams: ReadonlyMap<string, UpstreamLabel>) {
    this.#upstreams = upstreams
    this.#instruments = instrumentsOf(() => this.#levels())
    const { claims, settled, leasesLost, incidents: kinds, swept } = this.#instruments
    // A series that is not there yet has no increase, and an alert on it misses the first one.
    for (const by of ['claim', 'takeover', 'retry', 'claim_over', 'yours']) claims.inc({ by }, 0)
    for (const as of ['completed', 'released', 'unknown']) settled.inc({ as }, 0)
    for (const reason of ['lease_lost', 'superseded', 'cancelled']) leasesLost.inc({ reason }, 0)
    for (const what of incidents) kinds.inc({ what }, 0)
    for (const as of ['abandoned', 'expired', 'purged', 'released']) swept.inc({ as }, 0)
  }

  /** Where gauges look. */
  watch(levels: () => Levels): void {
    this.#levels = levels
  }

  /** As messages carry it, for {@link aggregated}. */
  snapshot(): Promise<object[]> {
    return this.#instruments.registry.getMetricsAsJSON()
  }

  /** A request is over. */
  served({ method, place, how, status, ms, call, account }: Served): void {
    const { requests, requestSeconds, upstreamSeconds, upstreamFailures } = this.#instruments
    const upstream = place === undefined ? '' : place.upstream
    const asked = { upstream, route: place === undefined ? '' : routeOf(method, place.path), model: '' }
    const { route } = this.#routes.labelled(asked, how !== 'left' && status < 400)
    requests.inc({ upstream, route, how, status: status === 0 ? 'none' : `${Math.floor(status / 100)}xx` })
    requestSeconds.observe({ how }, ms / 1000)
    if (call === undefined || place === undefined) return
    if (call.headMs !== undefined) upstreamSeconds.observe({ upstream }, call.headMs / 1000)
    if (call.failure !== undefined) upstreamFailures.inc({ upstream, code: call.failure })
    this.#genAi(place, account?.note?.model ?? '', call)
  }

  #genAi(place: NonNullable<Served['place']>, model: string, call: NonNullable<Served['call']>): void {
    const { operationSeconds, firstChunkSeconds } = this.#instruments
    const labels = this.#labels({ upstream: place.upstream, route: routeOf('POST', place.path), model }, model !== '')
    const error = call.failure ?? (call.status !== undefined && call.status >= 400 ? String(call.status) : '')
    if (call.endMs !== undefined) operationSeconds.observe({ ...labels, error_type: error }, call.endMs / 1000)
    if (call.isStream && call.firstMs !== undefined) firstChunkSeconds.observe(labels, call.firstMs / 1000)
  }

  #labels(place: { upstream: string; route: string; model: string }, isReal: boolean) {
    const { upstream, model } = this.#places.labelled(place, isReal)
    const { provider = '', address = '', port = '' } = this.#upstreams.get(upstream) ?? {}
    return {
      gen_ai_operation_name: operationOf(place.route),
      gen_ai_provider_name: provider,
      gen_ai_response_model: model,
      server_address: address,
      server_port: port,
    }
  }

  /** The ledger counts. */
  counted({ upstream, route, model }: RowKey, counts: Counts): void {
    const { calls, spent, spared: sparedTotal, saved, tokens } = this.#instruments
    const isReal = counts.refused === undefined && counts.notExecuted === undefined
    const place = this.#places.labelled({ upstream, route, model }, isReal)
    const ended = endOf(counts)
    if (ended !== undefined) calls.inc({ ...place, ended }, counts.lost ?? 1)
    if (counts.nanodollars !== undefined) spent.inc({ ...place }, counts.nanodollars / 1e9)
    for (const how of spared) {
      const count = counts[how]
      if (count === undefined) continue
      sparedTotal.inc({ ...place, how }, count)
      saved.inc({ ...place, how }, (counts[`${how}Nanodollars`] ?? 0) / 1e9)
    }
    if (counts.inputTokens === undefined && counts.outputTokens === undefined) return
    const labels = this.#labels({ upstream, route, model }, isReal)
    tokens.observe({ ...labels, gen_ai_token_type: 'input' }, counts.inputTokens ?? 0)
    tokens.observe({ ...labels, gen_ai_token_type: 'output' }, counts.outputTokens ?? 0)
  }

  /** The engine tells. */
  heard(event: OnceEvent): void {
    const { claims, settled, leasesLost, incidents: kinds, swept, storeSeconds, storeFailures } = this.#instruments
    switch (event.kind) {
      case 'granted':
        return claims.inc({ by: event.by })
      case 'settled':
        return settled.inc({ as: event.as })
      case 'lost':
        return leasesLost.inc({ reason: event.reason })
      case 'store_called':
        return storeSeconds.observe({ call: event.call }, event.ms / 1000)
      case 'store_failed':
        return storeFailures.inc({ call: event.call })
      case 'superseded':
      case 'unrecorded':
      case 'bypassed':
      case 'undecipherable':
      case 'mismatch':
        return kinds.inc({ what: event.kind })
      case 'abandoned':
        return swept.inc({ as: 'abandoned' })
      case 'swept':
        for (const as of ['abandoned', 'expired', 'purged', 'released'] as const) swept.inc({ as }, event[as])
        return
      default:
        return
    }
  }
}

/** What is known of an execution's cost; undefined where there was none. */
function endOf(counts: Counts): string | undefined {
  if (counts.lost !== undefined) return 'lost'
  if (counts.notExecuted !== undefined) return 'not_executed'
  if (counts.executed === undefined) return undefined
  return (['unmetered', 'unpriced', 'refused'] as const).find((kind) => counts[kind] !== undefined) ?? 'priced'
}

/** The sums of several processes' snapshots, in Prometheus' text format. */
export function aggregated(snapshots: readonly object[][]): Registry {
  return AggregatorRegistry.aggregate([...snapshots])
}
