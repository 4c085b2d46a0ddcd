/** Prices against the public lists' own reading of the same answers, and what has no price. */
import { calcPrice, extractUsage, findProvider, type Provider } from '@pydantic/genai-prices'
import { type Usage, usageOf } from 'oncekey/providers'
import { describe, expect, it } from 'vitest'
import { type OwnPrice, Prices } from '../../src/ledger/index.ts'

const read = (answer: unknown): Usage => {
  const usage = usageOf(new TextEncoder().encode(JSON.stringify(answer)))
  if (usage === undefined) throw new Error('the answer tells no usage')
  return usage
}

const anthropicUsage = {
  input_tokens: 100,
  cache_creation_input_tokens: 3000,
  cache_read_input_tokens: 200,
  cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 2000 },
  output_tokens: 50,
}
const chatUsage = {
  prompt_tokens: 1200,
  completion_tokens: 340,
  prompt_tokens_details: { cached_tokens: 1024 },
  completion_tokens_details: { reasoning_tokens: 64 },
}
/** Flavour of the lists' extractor, where the API is, and an answer. */
const answers: [string, string, object][] = [
  ['chat', 'https://api.openai.com/v1', { model: 'gpt-5-mini-2025-08-07', usage: chatUsage }],
  [
    'responses',
    'https://api.openai.com',
    {
      model: 'gpt-4.1',
      usage: { input_tokens: 750, input_tokens_details: { cached_tokens: 512 }, output_tokens: 90 },
    },
  ],
  ['embeddings', 'https://api.openai.com', { model: 'text-embedding-3-large', usage: { prompt_tokens: 777 } }],
  ['default', 'https://api.anthropic.com', { model: 'claude-sonnet-4-5-20250929', usage: anthropicUsage }],
  [
    'default',
    'https://generativelanguage.googleapis.com',
    {
      modelVersion: 'gemini-2.5-flash',
      usageMetadata: {
        promptTokenCount: 1000,
        candidatesTokenCount: 20,
        thoughtsTokenCount: 30,
        cachedContentTokenCount: 400,
        promptTokensDetails: [
          { modality: 'TEXT', tokenCount: 900 },
          { modality: 'AUDIO', tokenCount: 100 },
        ],
        cacheTokensDetails: [
          { modality: 'TEXT', tokenCount: 380 },
          { modality: 'AUDIO', tokenCount: 20 },
        ],
      },
    },
  ],
  ['default', 'https://api.mistral.ai', { model: 'mistral-large-latest', usage: chatUsage }],
]

describe('the public lists', () => {
  it.each(answers)('%s at %s costs what the lists make of the answer themselves', (flavour, url, answer) => {
    const provider = findProvider({ providerApiUrl: url }) as Provider
    const extracted = extractUsage(provider, answer, flavour)
    const expected = calcPrice(extracted.usage, String(extracted.model), { provider })
    const prices = new Prices([], { url: new URL(url) })
    const nanodollars = prices.nanodollars(read(answer), undefined)
    expect(nanodollars).toBeGreaterThan(0)
    expect(nanodollars).toBe(Math.round((expected?.total_price ?? 0) * 1e9))
    // From memory, the second time.
    expect(prices.nanodollars(read(answer), undefined)).toBe(nanodollars)
  })

  it('prices a transcription by its seconds', () => {
    const prices = new Prices([], { providerId: 'openai' })
    // 0.36 dollars an hour.
    expect(prices.nanodollars({ model: undefined, units: { audioSeconds: 60 } }, 'whisper-1')).toBe(6_000_000)
  })

  it('knows no price of an unknown model, an unknown host, a nameless model, or units the list has no price for', () => {
    const openai = new Prices([], { url: new URL('https://api.openai.com') })
    const usage = (model: string | undefined): Usage => ({ model, units: { inputTokens: 10, outputTokens: 10 } })
    expect(openai.nanodollars(usage('gpt-5-mini'), undefined)).toBeGreaterThan(0)
    expect(openai.nanodollars(usage('nobody-9'), undefined)).toBeUndefined()
    expect(openai.nanodollars(usage('nobody-9'), undefined)).toBeUndefined()
    expect(openai.nanodollars(usage(undefined), undefined)).toBeUndefined()
    expect(openai.nanodollars(usage('whisper-1'), undefined)).toBeUndefined()
    const local = new Prices([], { url: new URL('http://127.0.0.1:11434') })
    expect(local.nanodollars(usage('gpt-5-mini'), undefined)).toBeUndefined()
  })

  it('makes nothing of counts that contradict each other', () => {
    const openai = new Prices([], { providerId: 'openai' })
    const absurd = { model: 'gpt-5-mini', units: { inputTokens: 5, cacheReadTokens: 50, outputTokens: 1 } }
    expect(openai.nanodollars(absurd, undefined)).toBeUndefined()
  })
})

describe('other prices', () => {
  const own: OwnPrice[] = [
    { model: 'pretend-mini', input: 1, output: 2 },
    { model: 'pretend-*', input: 2, output: 10, cacheRead: 0.5, cacheWrite: 4 },
  ]

  it("are the operator's own, first match wins, before what anybody else says", () => {
    const prices = new Prices(own, { url: new URL('https://api.openai.com') })
    const units = { inputTokens: 1000, outputTokens: 100, cacheReadTokens: 200, cacheWriteTokens: 300 }
    expect(prices.nanodollars({ model: 'pretend-1', units }, undefined)).toBe(500 * 2e3 + 200 * 500 + 300 * 4e3 + 1e6)
    expect(prices.nanodollars({ model: 'pretend-mini', units: { ...units, costUsd: 9 } }, undefined)).toBe(1.2e6)
    expect(prices.nanodollars({ model: undefined, units }, 'pretend-mini')).toBe(1.2e6)
  })

  it('are what the provider says it charges', () => {
    const prices = new Prices([], { url: new URL('https://openrouter.ai/api/v1') })
    expect(prices.nanodollars({ model: 'nobody/9', units: { inputTokens: 1, costUsd: 0.00012 } }, undefined)).toBe(
      120_000,
    )
  })
})
