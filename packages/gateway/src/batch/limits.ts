/** What a provider says about its limits in the headers of an answer. */
import { fieldValue, type RawHeaders } from 'oncekey/http'

/** So much is left until the limit is full again. */
export interface Remaining {
  readonly left: number
  readonly resetMs: number
}

/** Of requests, and of tokens; the scarcest where there are several. Undefined where nothing is said. */
export interface SaidLimits {
  readonly requests: Remaining | undefined
  readonly tokens: Remaining | undefined
}

/**
 * OpenAI: `x-ratelimit-remaining-requests`, `x-ratelimit-reset-requests: 6m0s`, and the same with `tokens`
 * (developers.openai.com, guides/rate-limits). Anthropic: `anthropic-ratelimit-requests-remaining`, `…-reset` in RFC
 * 3339, and `tokens`, `input-tokens`, `output-tokens` (platform.claude.com, api/rate-limits). `nowMs` is epoch time.
 */
export function saidLimits(headers: RawHeaders, nowMs: number): SaidLimits {
  const openai = (what: string): Remaining | undefined =>
    remaining(
      fieldValue(headers, `x-ratelimit-remaining-${what}`),
      durationMs(fieldValue(headers, `x-ratelimit-reset-${what}`)),
    )
  const anthropic = (what: string): Remaining | undefined =>
    remaining(
      fieldValue(headers, `anthropic-ratelimit-${what}-remaining`),
      untilMs(fieldValue(headers, `anthropic-ratelimit-${what}-reset`), nowMs),
    )
  return {
    requests: openai('requests') ?? anthropic('requests'),
    tokens: openai('tokens') ?? scarcest(['tokens', 'input-tokens', 'output-tokens'].map(anthropic)),
  }
}

function remaining(left: string | undefined, resetMs: number | undefined): Remaining | undefined {
  // What is left means nothing without the time at which there is more.
  if (left === undefined || resetMs === undefined || !/^\d+$/.test(left)) return undefined
  return { left: Number(left), resetMs }
}

function scarcest(all: readonly (Remaining | undefined)[]): Remaining | undefined {
  return all
    .filter((one) => one !== undefined)
    .sort((a, b) => a.left - b.left)
    .at(0)
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `12ms`, `1.5s`, `6m0s`, `1h2m3s`; a bare number is seconds. */
function durationMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text) * 1_000
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined
  let ms = 0
  for (const [, digits = '0', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
    ms += Number(digits) * (unitMs[unit] ?? 0)
  return ms
}

function untilMs(text: string | undefined, nowMs: number): number | undefined {
  const at = text === undefined ? Number.NaN : Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
