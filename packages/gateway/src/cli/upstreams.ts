/** Opens the upstreams of a configuration, and says in the log when one of them is out of reach. */
import type { Logger } from 'pino'
import type { GatewayConfig } from '../config/index.ts'
import { type CircuitEvent, codeOf, Upstream } from '../forward/index.ts'
import { startSandbox } from '../sandbox/index.ts'

/** By name. */
export async function openUpstreams({ upstreams }: GatewayConfig, log: Logger): Promise<ReadonlyMap<string, Upstream>> {
  const opened = new Map<string, Upstream>()
  for (const [name, url] of upstreams) {
    const reached = url.protocol === 'sandbox:' ? new URL((await startSandbox()).url) : url
    opened.set(name, new Upstream(reached, (event) => logCircuit(log, name || url.host, event)))
  }
  return opened
}

function logCircuit(log: Logger, upstream: string, event: CircuitEvent): void {
  if (event.kind === 'closed') log.info({ upstream }, 'an upstream can be reached again')
  else
    log.error(
      { upstream, reason: codeOf(event.cause), retryAfterMs: event.retryAfterMs },
      'an upstream cannot be reached: requests to it are refused at once until a probe gets through',
    )
}
