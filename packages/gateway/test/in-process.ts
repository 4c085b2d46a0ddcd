/** A real gateway in the process of the test, for what no option sets: its limits, and parts that fail. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { memoryStore } from 'oncekey'
import { Engine, Exchange, nodeCodings, nodeDigest, systemClock, systemRandom } from 'oncekey/http'
import { openLedger } from '../src/cli/ledger.ts'
import { createLog } from '../src/cli/log.ts'
import { loadGatewayConfig } from '../src/config/load.ts'
import { Upstream } from '../src/forward/index.ts'
import type { GatewayParts } from '../src/server/gateway.ts'
import { Gateway, Routes } from '../src/server/index.ts'
import { type Limits, processLimits } from '../src/server/limits.ts'
import type { ScriptedUpstream } from './upstream.ts'

export interface InProcessOptions {
  readonly limits?: Partial<Limits>
  readonly flags?: readonly string[]
  readonly parts?: Partial<GatewayParts>
}

export interface InProcessGateway {
  readonly port: number
  /** What went to the log as unforeseen. */
  readonly failures: unknown[]
  close(): Promise<void>
}

export async function openGateway(
  { url }: ScriptedUpstream,
  { limits = {}, flags = [], parts = {} }: InProcessOptions = {},
): Promise<InProcessGateway> {
  const config = loadGatewayConfig(['--upstream', url, '--store', 'memory:', ...flags], {})
  if (config === undefined) throw new Error('no configuration')
  const store = memoryStore()
  const engine = new Engine({ store, skewMs: 2_000, clock: systemClock, random: systemRandom, digest: nodeDigest })
  await engine.ready()
  const away = new Upstream(new URL(url))
  const ledger = openLedger(store, new Map(), createLog('warn').log, undefined)
  const failures: unknown[] = []
  const gateway = new Gateway(
    {
      exchange: new Exchange(engine, nodeCodings, (error) => failures.push(error)),
      upstreams: new Map([['', away]]),
      routes: new Map([...config.routes].map(([name, rules]) => [name, new Routes(rules)])),
      ledger,
      tls: undefined,
      tenantRequests: config.tenantRequests,
      served: undefined,
      ...parts,
    },
    { ...processLimits, ...limits },
  )
  gateway.server.listen(0, '127.0.0.1')
  await once(gateway.server, 'listening')
  return {
    port: (gateway.server.address() as AddressInfo).port,
    failures,
    close: async () => {
      await gateway.stop(0)
      await away.close()
      await ledger.close()
      await store.close()
    },
  }
}
