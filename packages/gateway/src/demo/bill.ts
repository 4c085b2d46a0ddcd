/** The bill, always summed from the pretend provider's ledger. */
import type { SandboxCall } from '../sandbox/index.ts'

/** What some calls came to. */
export interface Paid {
  readonly calls: number
  readonly usd: number
}

/** What the calls with this `x-sandbox-marker` came to; without one, all calls. Failed calls are not billed. */
export function paid(calls: readonly SandboxCall[], marker?: string): Paid {
  const billed = calls.filter((call) => call.costUsd > 0 && (marker === undefined || call.marker === marker))
  return billed.reduce((sum, call) => plus(sum, { calls: 1, usd: call.costUsd }), { calls: 0, usd: 0 })
}

/** Two bills together, exact in billionths of a dollar, as the ledger reckons. */
export function plus(one: Paid, other: Paid): Paid {
  return { calls: one.calls + other.calls, usd: Math.round((one.usd + other.usd) * 1e9) / 1e9 }
}

/** `$0.011`, with more digits only where they are not 0. */
export function dollars(usd: number): string {
  return `$${usd.toFixed(6).replace(/0{1,3}$/, '')}`
}

/** `1 paid call, $0.011` */
export function inWords({ calls, usd }: Paid): string {
  return `${calls} paid ${calls === 1 ? 'call' : 'calls'}, ${dollars(usd)}`
}
