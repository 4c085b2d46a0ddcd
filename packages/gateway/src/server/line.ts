/** A request's line in the log. */
import type { RequestAccount } from '../ledger/index.ts'

/** What is known of every request. Never a key, a credential, a query, a prompt or an answer. */
export interface RequestLine {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly status: number
  /** `Idempotency-Status` of the answer. */
  readonly how: string
  readonly ms: number
}

/** The same, with what a covered request came to. */
export interface AccountedLine extends RequestLine {
  readonly recordId?: string
  /** Which attempt of the operation it was; absent where nothing was executed. */
  readonly attempt?: number
  readonly model?: string
  readonly inputTokens?: number
  readonly outputTokens?: number
  /** US dollars, of the execution behind the answer; absent where nobody knows. */
  readonly price?: number
}

/** Hears one line a request. */
export type RequestLog = (line: AccountedLine) => void

/** The line, with what the account knows. */
export function lineOf(line: RequestLine, account: RequestAccount | undefined): AccountedLine {
  if (account?.recordId === undefined) return line
  const { recordId, attempt, note } = account
  const { inputTokens, outputTokens } = note?.usage ?? {}
  return {
    ...line,
    recordId,
    ...(attempt === undefined ? {} : { attempt }),
    ...(note === undefined || note.model === '' ? {} : { model: note.model }),
    ...(inputTokens === undefined ? {} : { inputTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
    ...(note?.nanodollars === undefined ? {} : { price: note.nanodollars / 1e9 }),
  }
}
