/** The two ways to ask: through an exchange with a store of this process, or a gateway at a URL. */
import { type Account, type Exchange, fieldValue, IdempotencyError, planOf, type RouteOptions } from 'oncekey/http'
import { type Upstream, upstreamHeaders } from '../forward/index.ts'
import type { Ask, Asking } from './ask.ts'
import { Collected } from './collected.ts'

/** What asks in this process. */
export interface InProcess {
  readonly exchange: Exchange
  readonly upstream: Upstream
  /** The options of a line. */
  route(method: string, path: string, body: Buffer): RouteOptions & { readonly upstreamTimeoutMs: number }
  /** Keeps the bill of one request; `path` without the query. */
  account(asking: Asking, path: string): Account
}

/** Asks through an exchange: claim, call, record. */
export function askHere({ exchange, upstream, route, account }: InProcess): Ask {
  return async (asking) => {
    const { method, target, headers, body } = asking
    const { path, query } = parted(target)
    const options = route(method, path, body)
    const plan = planOf({ method, headers, query }, options)
    if (plan.kind === 'pass') throw new Error(`The configuration does not cover ${method} ${path}.`)
    const caller = new Collected()
    const { tenantHeader, keyAliases } = options
    const onward = upstreamHeaders(headers, { keepKey: false, tenantHeader, keyAliases, keepLength: false })
    const done = await exchange.handle({
      plan,
      route: options,
      request: { method, path, query, headers, body },
      caller,
      account: account(asking, path),
      dispatch: (events) =>
        upstream.call({ method, target, headers: onward, body, timeoutMs: options.upstreamTimeoutMs }, events),
    })
    if (done === 'bypass') throw new IdempotencyError('store_unavailable', 'The store is away.')
    return { ...(await caller.answered), onAbandoned: options.policy.onAbandoned }
  }
}

/** Asks a gateway, which has the store. */
export function askThere(gateway: Upstream, timeoutMs: number): Ask {
  return (asking) => {
    const caller = new Collected()
    gateway.call({ ...asking, timeoutMs }, caller)
    return caller.answered
  }
}

/**
 * Makes sure that there is a gateway at the URL, by a key that every gateway refuses and no provider knows, without a
 * credential and without a body, so that nothing can be executed. Throws an Error that says what is there instead.
 */
export async function checkGateway(ask: Ask, target: string, shown: string): Promise<void> {
  const headers = ['Content-Type', 'application/json', 'Idempotency-Key', '"']
  const asking: Asking = { method: 'POST', target, headers, body: Buffer.alloc(0) }
  const answer = await ask(asking)
  if (answer.kind === 'broken') throw new Error(`The gateway ${shown} does not answer. Is it running there?`)
  const status = fieldValue(answer.headers, 'idempotency-status')
  if (status === 'refused') return
  throw new Error(
    status === undefined
      ? `What answers at ${shown} is no Oncekey gateway, so a restart would pay again. Use --upstream for a provider.`
      : `The gateway ${shown} passes ${target} through unprotected. Let its configuration cover the route.`,
  )
}

function parted(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf('?')
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}
