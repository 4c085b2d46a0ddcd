/** The ledger of a gateway: its prices by upstream, its store calls bounded in time. */
import { base64url, nodeDigest, systemClock, systemRandom } from 'oncekey/http'
import type { Store } from 'oncekey/store'
import type { Logger } from 'pino'
import type { Metrics } from '../admin/index.ts'
import type { GatewayConfig } from '../config/index.ts'
import { type KeptOptions, Ledger, Prices, type Share } from '../ledger/index.ts'
import { pretendPrice } from '../sandbox/index.ts'

/** As for the engine's own calls (protocol.md, Store outage). */
const storeTimeoutMs = 2_000

/** What the public price lists call the provider of a preset; the others' prices are nobody's but the operator's. */
const providerIds: Readonly<Record<string, string>> = {
  openai: 'openai',
  azure: 'azure',
  anthropic: 'anthropic',
  gemini: 'google',
  mistral: 'mistral',
  openrouter: 'openrouter',
  bedrock: 'aws',
}

/** What executions cost, by the upstream's name. */
export function pricesOf({
  upstreams,
  presets,
  prices,
}: Pick<GatewayConfig, 'upstreams' | 'presets' | 'prices'>): Map<string, Prices> {
  return new Map(
    [...upstreams].map(([name, url]) => {
      if (url.protocol === 'sandbox:') return [name, new Prices([...prices, pretendPrice], {})]
      const providerId = providerIds[presets.get(name)?.[0] ?? '']
      return [name, new Prices(prices, { url, ...(providerId === undefined ? {} : { providerId }) })]
    }),
  )
}

/** A ledger that writes under a name of its own; with a share it also counts what tenants keep. */
export function openLedger(
  store: Store,
  prices: ReadonlyMap<string, Prices>,
  log: Logger,
  metrics?: Metrics,
  share?: Share,
): Ledger {
  return new Ledger({
    store: {
      tally: (tallies) => inTime(store.tally(tallies)),
      tallies: (cursor, prefix) => inTime(store.tallies(cursor, prefix)),
    },
    ...(share === undefined ? {} : { keeping: keepingOf(share, log) }),
    writer: base64url(systemRandom.bytes(12)),
    prices,
    ...(metrics === undefined ? {} : { counted: metrics.counted.bind(metrics) }),
    wallMs: systemClock.wallMs,
    later: (delayMs, run) => {
      if (delayMs === 0) {
        const turn = setImmediate(run)
        return () => clearImmediate(turn)
      }
      const timer = systemClock.setTimer(delayMs, run)
      return () => timer.cancel()
    },
    failed: (error) => {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ reason }, 'the ledger could not be written; its counts are kept and tried again')
    },
  })
}

const utf8 = new TextEncoder()

function keepingOf(share: Share, log: Logger): KeptOptions {
  return {
    share,
    digest: (tenant) => nodeDigest.sha256(utf8.encode(tenant)),
    monotonicMs: systemClock.monotonicMs,
    fraction: systemRandom.fraction,
    inexact: (error) => {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ reason }, 'what tenants keep is not all known; their quota goes by what is')
    },
  }
}

function inTime<T>(call: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error(`the store did not answer within ${storeTimeoutMs} ms`))
    const timer = systemClock.setTimer(storeTimeoutMs, late, true)
    call.then(resolve, reject).finally(() => timer.cancel())
  })
}
