/** Turns an error of the layer itself into its answer: a problem document that AI SDKs read as well. */
import { errorCatalogue } from '../core/catalogue.ts'
import type { ErrorCode, IdempotencyError } from '../core/errors.ts'
import { fieldNames } from './headers.ts'

/** An answer ready to be sent; the sender adds the length of the body and the echoed key. */
export interface ProblemAnswer {
  readonly status: number
  /** Raw list: name, value, name, value. */
  readonly headers: string[]
  readonly body: Uint8Array
}

/** Where the error was met. */
export interface ProblemOptions {
  /** Path of the request: Anthropic's clients expect another `type` (below). */
  readonly requestPath?: string
}

/** Where a code is explained. */
function errorDocumentation(code: ErrorCode): string {
  return `https://oncekey.dev/errors/${code}`
}

/** Codes that pass by themselves and soon; they always carry a hint, the others only when somebody knows the time. */
const soon: ReadonlySet<ErrorCode> = new Set([
  'in_progress',
  'too_many_waiting',
  'quota_exceeded',
  'store_unavailable',
  'shutting_down',
])
const soonMs = 1000

/** Official SDKs ignore hints above a minute [M], and would then come back after half a second. */
const maxHintMs = 60_000

/**
 * The problem document of an error (RFC 9457; http.md, Answers).
 *
 * On Anthropic's message paths `type` is `"error"`, a relative reference, because @ai-sdk/anthropic reads
 * `error.message` only behind exactly that; and a top-level `message` is added, because the official SDK prints that
 * and else the whole document. The documentation URL is then in `documentation` and, as always, in `Link`.
 */
export function problem(error: IdempotencyError, options: ProblemOptions = {}): ProblemAnswer {
  const { code, details, message, retryable, status } = error
  const documentation = errorDocumentation(code)
  const isAnthropic = options.requestPath !== undefined && isMessagesPath(options.requestPath)
  const isUnknown = code === 'outcome_unknown'
  const document = {
    type: isAnthropic ? 'error' : documentation,
    title: errorCatalogue[code].title,
    status,
    detail: message,
    code,
    ...(isAnthropic && { message, documentation }),
    ...((isUnknown || details.safeToUseNewKey !== undefined) && {
      safe_to_use_new_key: details.safeToUseNewKey ?? false,
    }),
    ...(details.mayHaveRun !== undefined && { may_have_run: details.mayHaveRun }),
    ...(details.recordId !== undefined && { record_id: details.recordId }),
    error: { message, type: 'idempotency_error', code, param: null },
  }
  return {
    status,
    headers: [
      'Content-Type',
      'application/problem+json',
      'Cache-Control',
      'no-store',
      'Link',
      `<${documentation}>; rel="describedby"`,
      fieldNames.status,
      'refused',
      fieldNames.shouldRetry,
      String(retryable),
      ...retryHints(code, retryable, details.retryAfterMs),
    ],
    body: new TextEncoder().encode(JSON.stringify(document)),
  }
}

/** Both spellings, whole numbers: `Retry-After` 1–60 s, and `retry-after-ms`, which beats it in the official SDKs [M]. */
function retryHints(code: ErrorCode, retryable: boolean, retryAfterMs: number | undefined): string[] {
  const wanted = retryAfterMs ?? (soon.has(code) ? soonMs : undefined)
  if (!retryable || wanted === undefined) return []
  const ms = Math.min(Math.max(Math.ceil(wanted), 1), maxHintMs)
  return [fieldNames.retryAfter, String(Math.ceil(ms / 1000)), fieldNames.retryAfterMs, String(ms)]
}

/** `…/messages`, its batches and token counts; OpenAI's `/threads/{id}/messages` is not one of them. */
function isMessagesPath(path: string): boolean {
  return /\/messages(?:\/(?:batches|count_tokens)(?:\/.*)?)?\/?$/.test(path) && !/\/threads\/[^/]+\/messages/.test(path)
}
