/** What an answer means for its line: done, failed, unknown, or to be asked again. */
import { fieldValue, type RawHeaders } from 'oncekey/http'
import type { Answer, Answered } from './ask.ts'
import { isObject } from './request.ts'

type Whole = Extract<Answer, { kind: 'whole' }>

/** What becomes of a line. */
export type Verdict =
  | { readonly kind: 'done'; readonly how: 'executed' | 'replayed'; readonly answer: Whole }
  | { readonly kind: 'failed' | 'unknown'; readonly failure: Failure }
  /** Another process, perhaps a dead one whose lease is not over, runs it. */
  | { readonly kind: 'running'; readonly failure: Failure }
  /** Nothing was executed. `hintMs` is what the provider asks for. */
  | { readonly kind: 'again'; readonly hintMs: number | undefined; readonly failure: Failure }
  /** No other line can do better. */
  | { readonly kind: 'fatal'; readonly sentence: string; readonly failure: Failure }

/** Why a line has no result: the provider's own answer, or what Oncekey says. `how` as in `Idempotency-Status`. */
export type Failure =
  | { readonly kind: 'answer'; readonly answer: Whole; readonly how: 'executed' | 'replayed' }
  | { readonly kind: 'told'; readonly code: string; readonly message: string }

/** Answers by which a provider says that it did not do the work (protocol.md, What an ending means). */
const notExecuted: ReadonlySet<number> = new Set([408, 425, 429, 503, 529])
/** What is wrong with the credential or the account is wrong for every line. */
const noAccess: ReadonlySet<number> = new Set([401, 402])

/** Refusals of Oncekey that every other line would get as well. */
const forAllLines: ReadonlySet<string> = new Set(['tenant_required', 'unknown_upstream', 'config_invalid'])

/** Judges one answer. */
export function verdictOf(answer: Answered): Verdict {
  const verdict = answer.kind === 'broken' ? brokenVerdict(answer.headers) : wholeVerdict(answer)
  // The record of a call that may have run is unknown by now: the next run could not tell more.
  if (verdict.kind !== 'failed' || answer.onAbandoned !== 'unknown' || !mayHaveRun(verdict.failure)) return verdict
  return { kind: 'unknown', failure: verdict.failure }
}

function mayHaveRun(failure: Failure): boolean {
  return failure.kind === 'answer' ? failure.answer.status >= 500 : failure.code === 'answer_broken'
}

function wholeVerdict(answer: Whole): Verdict {
  const status = fieldValue(answer.headers, 'idempotency-status')
  if (status === 'refused') return refusedVerdict(answer)
  if (status === undefined || status === 'ignored' || status === 'bypassed') {
    const message = 'A line was answered unprotected, so a restart would pay for it again.'
    return { kind: 'fatal', sentence: message, failure: { kind: 'told', code: 'unprotected', message } }
  }
  const how = status === 'executed' ? 'executed' : 'replayed'
  if (answer.status < 300) return { kind: 'done', how, answer }
  const failure = { kind: 'answer', answer, how } as const
  const header = (name: string): string | undefined => fieldValue(answer.headers, name)
  if (noAccess.has(answer.status)) {
    const sentence = `The provider refused the credential or the account (${answer.status}). Check it and run the command again.`
    return { kind: 'fatal', sentence, failure }
  }
  const again =
    notExecuted.has(answer.status) ||
    header('x-should-retry') === 'true' ||
    (answer.status === 409 && header('retry-after') !== undefined)
  return again ? { kind: 'again', hintMs: hintMsOf(answer.headers), failure } : { kind: 'failed', failure }
}

/** The key finds the execution there may have been, unless it was this one and has just failed. */
function brokenVerdict(headers: RawHeaders | undefined): Verdict {
  if (headers !== undefined && fieldValue(headers, 'idempotency-status') === 'executed') {
    const message = 'The answer broke off. The line may have been executed and paid for.'
    return { kind: 'failed', failure: { kind: 'told', code: 'answer_broken', message } }
  }
  const message = 'The connection ended without an answer.'
  return { kind: 'again', hintMs: undefined, failure: { kind: 'told', code: 'unreachable', message } }
}

/** Was the provider called for it, or did Oncekey answer alone? */
export function calledProvider(verdict: Verdict): boolean {
  if (verdict.kind === 'done') return verdict.how === 'executed'
  const { failure } = verdict
  if (failure.kind === 'answer') return failure.how === 'executed'
  return failure.code === 'answer_broken' || failure.code.startsWith('upstream_')
}

/** A problem document of Oncekey itself (http.md, Answers). */
function refusedVerdict({ body, headers }: Whole): Verdict {
  const problem = parsed(body)
  const code = String(problem['code'] ?? 'refused')
  const failure = { kind: 'told', code, message: String(problem['detail'] ?? 'The request was refused.') } as const
  const mayHaveRun = problem['may_have_run'] === true
  const retryable = fieldValue(headers, 'x-should-retry') === 'true'
  if (forAllLines.has(code)) return { kind: 'fatal', sentence: failure.message, failure }
  if (code === 'in_progress') return { kind: 'running', failure }
  if (code === 'outcome_unknown' || (mayHaveRun && !retryable)) return { kind: 'unknown', failure }
  // A retry after a call that may have run would be a second one: that is for a person to decide.
  if (retryable && !mayHaveRun) return { kind: 'again', hintMs: hintMsOf(headers), failure }
  return { kind: 'failed', failure }
}

function parsed(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString())
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

/** `retry-after-ms` beats `Retry-After` (http.md, Facts), which is seconds or a date (RFC 9110 §10.2.3). */
function hintMsOf(headers: RawHeaders): number | undefined {
  const ms = fieldValue(headers, 'retry-after-ms')
  if (ms !== undefined && /^\d+(?:\.\d+)?$/.test(ms)) return Number(ms)
  const after = fieldValue(headers, 'retry-after')
  if (after === undefined) return undefined
  if (/^\d+(?:\.\d+)?$/.test(after)) return Number(after) * 1000
  const at = Date.parse(after)
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}
