/** What the pretend provider was asked and what it charges: the one bill that tests and the demo believe. */

/** One request that reached the provider with its body whole. */
export interface SandboxCall {
  /** 1 for the first; also in the answer's text. */
  readonly n: number
  readonly method: string
  /** With the query. */
  readonly path: string
  /** Names in lower case; fields of one name joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** Of the body as received, hex. */
  readonly bodySha256: string
  readonly bodyBytes: number
  /** `x-sandbox-marker`, or the body's `metadata.marker`, `metadata.user_id` or `user`. */
  readonly marker?: string
  /** Epoch ms. */
  readonly startedAt: number
  readonly endedAt?: number
  /** The client had gone before the answer's end. */
  readonly aborted: boolean
  readonly costUsd: number
  /** Of the answer's body. */
  readonly bytesSent: number
  /** The answer said what it used, and went out whole. */
  readonly toldUsage: boolean
}

/** A call while it runs. */
export type OpenCall = { -readonly [name in keyof SandboxCall]: SandboxCall[name] }

/** Tokens of one call. */
export interface Tokens {
  readonly input: number
  readonly output: number
}

/** Invented prices, in billionths of a dollar, so that bills add up exactly. No real provider has them. */
const pretendNanoUsdPerInputToken = 2_000
const pretendNanoUsdPerOutputToken = 10_000

/** The same as a ledger's own price of every model: US dollars per million tokens. */
export const pretendPrice: { readonly model: '*'; readonly input: number; readonly output: number } = {
  model: '*',
  input: pretendNanoUsdPerInputToken / 1e3,
  output: pretendNanoUsdPerOutputToken / 1e3,
}

/** The pretend price of a call, USD. */
export function pretendPriceUsd(tokens: Tokens): number {
  return (tokens.input * pretendNanoUsdPerInputToken + tokens.output * pretendNanoUsdPerOutputToken) / 1e9
}

/** All calls since the begin or the last reset. */
export class Ledger {
  readonly #calls: OpenCall[] = []

  get calls(): readonly SandboxCall[] {
    return this.#calls
  }

  open(call: Omit<OpenCall, 'n' | 'aborted' | 'bytesSent' | 'toldUsage'>): OpenCall {
    const opened = { ...call, n: this.#calls.length + 1, aborted: false, bytesSent: 0, toldUsage: false }
    this.#calls.push(opened)
    return opened
  }

  billUsd(): number {
    return this.#calls.reduce((nanos, call) => nanos + Math.round(call.costUsd * 1e9), 0) / 1e9
  }

  reset(): void {
    this.#calls.length = 0
  }
}
