/** What is known of a request once it is over: its line in the log, and what metrics are made of. */
import type { RequestAccount } from '../ledger/index.ts'
import type { TimedCall } from './timed.ts'

/** A request's line in the log. Never a key, a credential, a query, a prompt or an answer. */
export interface RequestLine {
  readonly method: string
  /** Without the query; a long one is cut. */
  readonly path: string
  /** 0 where the caller had gone before there was one. */
  readonly status: number
  /** `Idempotency-Status` of the answer; `left` where the caller had gone before there was one. */
  readonly how: string
  /** To the end of the answer and of the execution behind it. */
  readonly ms: number
  /** The answer did not reach its end: it was cut, or the caller hung up. */
  readonly cut?: true
  /** To the head of the upstream's answer; absent where it was not asked. */
  readonly upstreamMs?: number
  readonly recordId?: string
  /** Which attempt of the operation it was; absent where nothing was executed. */
  readonly attempt?: number
  readonly model?: string
  readonly inputTokens?: number
  readonly outputTokens?: number
  /** US dollars, of the execution behind the answer; absent where nobody knows. */
  readonly price?: number
}

/** One request that is over. */
export interface Served {
  readonly method: string
  /** As the caller sent it. */
  readonly path: string
  /** As in {@link RequestLine}. */
  readonly status: number
  readonly how: string
  readonly ms: number
  readonly cut: boolean
  /** Where it went: the upstream's name and the path behind that; undefined where no upstream takes it. */
  readonly place: { readonly upstream: string; readonly path: string } | undefined
  /** Of a covered request. */
  readonly account: RequestAccount | undefined
  /** Of one that was executed. */
  readonly call: TimedCall | undefined
}

/** Hears of every request once it is over. */
export type ServedObserver = (served: Served) => void

/** Paths are as long as a client likes. */
const pathLength = 256

/** The line of a request. */
export function lineOf({ method, path, status, how, ms, cut, account, call }: Served): RequestLine {
  const { recordId, attempt, note } = account ?? {}
  const { inputTokens, outputTokens } = note?.usage ?? {}
  return {
    method,
    path: path.length > pathLength ? `${path.slice(0, pathLength)}…` : path,
    status,
    how,
    ms: Math.round(ms),
    ...(cut ? { cut } : {}),
    ...(call?.headMs === undefined ? {} : { upstreamMs: Math.round(call.headMs) }),
    ...(recordId === undefined ? {} : { recordId }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(note === undefined || note.model === '' ? {} : { model: note.model }),
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
    ...(note?.nanodollars === undefined ? {} : { price: note.nanodollars / 1e9 }),
  }
}
