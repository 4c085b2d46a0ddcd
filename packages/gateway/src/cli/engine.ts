/** The engine of a process over the configured store, with the ledger beside it and whoever hears of its events. */
import { Engine, nodeDigest, type Observer, systemClock, systemRandom } from 'oncekey/http'
import type { Logger } from 'pino'
import type { Metrics } from '../admin/index.ts'
import type { GatewayConfig } from '../config/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { openLedger, pricesOf } from './ledger.ts'
import { logEvent } from './log.ts'
import { openStore, storeStartMs, within } from './store.ts'

/** An engine that the store has let in. */
export interface OpenedEngine {
  readonly engine: Engine
  readonly ledger: Ledger
  /** Writes the ledger's last counts and closes the store; the engine has to have ended its work. */
  close(): Promise<void>
}

/** Opens it; `heard` replaces the log's lines. Rejects with one sentence when the store does not let it in. */
export function openEngine(
  config: GatewayConfig,
  log: Logger,
  metrics: Metrics | undefined,
  heard: Observer = (event) => logEvent(log, event),
): Promise<OpenedEngine> {
  return within(storeStartMs, config.store, opened(config, log, metrics, heard))
}

async function opened(
  config: GatewayConfig,
  log: Logger,
  metrics: Metrics | undefined,
  heard: Observer,
): Promise<OpenedEngine> {
  const { store, close } = await openStore(config.store, { migrate: config.migrate, existing: false })
  const ledger = openLedger(store, pricesOf(config), log, metrics, config.tenantShare)
  const engine = new Engine({
    store,
    skewMs: config.route.policy.skewMs,
    clock: systemClock,
    random: systemRandom,
    digest: nodeDigest,
    observer: (event) => {
      heard(event)
      metrics?.heard(event)
      if (event.kind === 'swept') ledger.abandoned(event.abandoned)
      if (event.kind === 'abandoned') ledger.abandoned(1)
    },
    ...(config.pepper === undefined ? {} : { pepper: config.pepper }),
    ...(config.encryption === undefined ? {} : { encryption: config.encryption }),
  })
  await engine.ready()
  await ledger.kept?.start()
  return {
    engine,
    ledger,
    close: async () => {
      await ledger
        .close()
        .catch((error: unknown) => log.error({ err: error }, 'the last counts of the ledger are lost'))
      await close()
    },
  }
}
