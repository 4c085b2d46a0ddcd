/** What holds for the requests of a route, and what is to be done with one of them. */
import { IdempotencyError } from '../core/errors.ts'
import { parseKeyFields } from '../core/key.ts'
import type { Classify } from '../core/outcome.ts'
import type { Policy } from '../core/policy.ts'
import { fieldNames, fieldValue, fieldValues, parseWait, type RawHeaders } from './headers.ts'
import { hasTenant, type TenantOptions, type TenantRequest } from './tenant.ts'

/** Options of a route; durations in ms, sizes in bytes. */
export interface RouteOptions extends TenantOptions {
  readonly policy: Policy
  /** False: the route is passed through (`bypassed`). */
  readonly covered: boolean
  /** Methods that are covered; others are passed through. */
  readonly methods: readonly string[]
  /** `split`: key and fingerprint are the identity, so another request under the same key is another operation. */
  readonly mismatch: 'reject' | 'split'
  readonly onDisconnect: 'drain' | 'abort'
  readonly keyless: 'off' | 'retries' | 'content'
  readonly requireKey: boolean
  readonly strictKeys: boolean
  /** Further headers that may hold the key. */
  readonly keyAliases: readonly string[]
  readonly classify?: Classify
  /** JSON paths that do not make a request another one. */
  readonly ignore: readonly string[]
  /** Further response headers to keep and replay. */
  readonly replayHeaders: readonly string[]
  readonly maxBodyBytes: number
  readonly maxOutcomeBytes: number
}

/** The contract's defaults (http.md); `policy` has none, for `onAbandoned` has none. */
export const routeDefaults: Omit<RouteOptions, 'policy'> = {
  covered: true,
  methods: ['POST', 'PATCH'],
  mismatch: 'reject',
  onDisconnect: 'drain',
  keyless: 'off',
  requireKey: false,
  strictKeys: false,
  keyAliases: [],
  ignore: [],
  replayHeaders: [],
  maxBodyBytes: 67_108_864,
  maxOutcomeBytes: 67_108_864,
}

/** What is to be done with a request, known from its head alone. */
export type Plan =
  /** Passed through unrecorded; `status` says why. */
  | { readonly kind: 'pass'; readonly status: 'ignored' | 'bypassed' }
  | {
      readonly kind: 'cover'
      /** The key as it was parsed; undefined for a keyless request. */
      readonly key: string | undefined
      /** The key's field value as it was sent, for the echo. */
      readonly echo: string | undefined
      readonly keyless: 'retries' | 'content' | undefined
      /** The retry count a client declares. */
      readonly retryCount: number
      /** Seconds of `Prefer: wait`, if asked for. */
      readonly waitSeconds: number | undefined
    }

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT'])
/** Keyless modes are for what is not idempotent by its method. */
const keylessMethods: ReadonlySet<string> = new Set(['POST', 'PATCH'])

/** A request's head. */
export interface PlannedRequest extends TenantRequest {
  readonly method: string
  /** The principal, where the application has told it. */
  readonly tenant?: string
}

/** Judges a request's head. Throws IdempotencyError for a key that cannot be read, before anything else is done. */
export function planOf(request: PlannedRequest, route: RouteOptions): Plan {
  const { method, headers } = request
  if (safeMethods.has(method)) return { kind: 'pass', status: 'ignored' }
  if (!route.covered || !route.methods.includes(method)) return { kind: 'pass', status: 'bypassed' }
  const names = [fieldNames.key, ...route.keyAliases]
  const fields = names.map((name) => ({ name, values: fieldValues(headers, name) }))
  const key = parseKeyFields(fields, { strict: route.strictKeys })
  const waitSeconds = parseWait(fieldValues(headers, 'prefer'))
  const common = { kind: 'cover', retryCount: retryCountOf(headers), waitSeconds } as const
  if (key !== undefined) {
    const echo = fields.find((field) => field.values.length > 0)?.values[0]
    return { ...common, key, echo, keyless: undefined }
  }
  if (route.requireKey) {
    throw new IdempotencyError(
      'key_missing',
      'This route needs an Idempotency-Key header. Send a fresh key for each new request.',
    )
  }
  if (route.keyless === 'off' || !keylessMethods.has(method)) return { kind: 'pass', status: 'ignored' }
  // Nobody can tell whose retry it would be.
  if (request.tenant === undefined && !hasTenant(request, route)) return { kind: 'pass', status: 'ignored' }
  if (route.keyless === 'content' && /\bno-store\b/i.test(fieldValue(headers, 'cache-control') ?? '')) {
    return { kind: 'pass', status: 'bypassed' }
  }
  return { ...common, key: undefined, echo: undefined, keyless: route.keyless }
}

/** What the official SDKs declare of their automatic retries [M]; anything that is not a small count is none. */
function retryCountOf(headers: RawHeaders): number {
  const value = fieldValue(headers, 'x-stainless-retry-count')
  return value !== undefined && /^\d{1,4}$/.test(value) ? Number(value) : 0
}
