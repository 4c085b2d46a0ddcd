/** What an execution cost: by the operator's own prices, by what the provider says itself, or by the public price lists. */
import { calcPrice, findProvider, type ModelInfo, type Provider } from '@pydantic/genai-prices'
import type { Usage, UsageUnit } from 'oncekey/providers'

/** Prices of an operator's own for models whose name fits, in US dollars per million tokens. */
export interface OwnPrice {
  /** `*` stands for anything. */
  readonly model: string
  readonly input: number
  readonly output: number
  /** Of the input that came from or went into the provider's cache; else those tokens cost what the input does. */
  readonly cacheRead?: number
  readonly cacheWrite?: number
}

/** Our units in the names of the public lists. Those of an hour's cache are told apart below. */
const listNames: Readonly<Partial<Record<UsageUnit, string>>> = {
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  cacheReadTokens: 'cache_read_tokens',
  cacheWriteTokens: 'cache_write_tokens',
  cacheReadAudioTokens: 'cache_audio_read_tokens',
  cacheReadImageTokens: 'cache_image_read_tokens',
  inputAudioTokens: 'input_audio_tokens',
  outputAudioTokens: 'output_audio_tokens',
  inputImageTokens: 'input_image_tokens',
  outputImageTokens: 'output_image_tokens',
  audioSeconds: 'audio_seconds',
  webSearches: 'web_searches',
}

/** Models that are remembered: finding one in the lists takes 18 µs, pricing a known one 3. */
const rememberedModels = 1_000

/** Prices executions of one upstream. A price that nobody knows is undefined, never zero and never guessed. */
export class Prices {
  readonly #own: readonly (OwnPrice & { readonly pattern: RegExp })[]
  readonly #provider: Provider | undefined
  readonly #models = new Map<string, Provider | undefined>()

  /** `at`: the upstream's URL, or the name that the public lists give its provider. */
  constructor(own: readonly OwnPrice[], at: { readonly url?: URL; readonly providerId?: string }) {
    this.#own = own.map((price) => ({ ...price, pattern: patternOf(price.model) }))
    const { url, providerId } = at
    this.#provider = providerId === undefined && url === undefined ? undefined : providerAt(url, providerId)
  }

  /** Billionths of a US dollar, as a whole number. `model`: as the request named it, where the answer names none. */
  nanodollars(usage: Usage, model: string | undefined): number | undefined {
    const name = usage.model ?? model
    const { costUsd } = usage.units
    const own = this.#own.find(({ pattern }) => pattern.test(name ?? ''))
    if (own !== undefined) return Math.round(ownDollars(own, usage) * 1e9)
    if (costUsd !== undefined) return Math.round(costUsd * 1e9)
    if (name === undefined || this.#provider === undefined) return undefined
    const dollars = this.#listed(name, this.#provider, usage)
    return dollars === undefined ? undefined : Math.round(dollars * 1e9)
  }

  #listed(name: string, provider: Provider, usage: Usage): number | undefined {
    const used = listed(usage)
    try {
      const known = this.#models.get(name)
      if (known === undefined && this.#models.has(name)) return undefined
      const price = calcPrice(used, name, { provider: known ?? provider })
      if (known === undefined) this.#remember(name, price === null ? undefined : only(provider, price.model))
      if (price === null) return undefined
      // A list that has no price for any unit that was used says nothing of what it cost.
      const costsSomething = Object.values(price.model_price).some((value) => value !== undefined && value !== 0)
      return price.total_price === 0 && costsSomething ? undefined : price.total_price
    } catch {
      // The lists refuse counts that contradict each other, such as more cached tokens than input.
      return undefined
    }
  }

  #remember(name: string, model: Provider | undefined): void {
    if (this.#models.size >= rememberedModels) this.#models.clear()
    this.#models.set(name, model)
  }
}

function providerAt(url: URL | undefined, providerId: string | undefined): Provider | undefined {
  if (providerId !== undefined) return findProvider({ providerId })
  return url === undefined ? undefined : findProvider({ providerApiUrl: url.href })
}

/** The provider as if it had this one model, so that the next search ends at once. */
function only(provider: Provider, model: ModelInfo): Provider {
  return { ...provider, models: [model] }
}

function listed({ units }: Usage): Record<string, number> {
  const used: Record<string, number> = {}
  for (const [unit, name] of Object.entries(listNames)) {
    const count = units[unit as UsageUnit]
    if (count !== undefined) used[name] = count
  }
  const { cacheWriteTokens = 0, cacheWriteHourTokens } = units
  if (cacheWriteHourTokens !== undefined) {
    used['cache_write_1h_tokens'] = cacheWriteHourTokens
    used['cache_write_5m_tokens'] = Math.max(0, cacheWriteTokens - cacheWriteHourTokens)
  }
  return used
}

function ownDollars(price: OwnPrice, { units }: Usage): number {
  const { inputTokens = 0, outputTokens = 0, cacheReadTokens = 0, cacheWriteTokens = 0 } = units
  const plain = inputTokens - cacheReadTokens - cacheWriteTokens
  return (
    (plain * price.input +
      cacheReadTokens * (price.cacheRead ?? price.input) +
      cacheWriteTokens * (price.cacheWrite ?? price.input) +
      outputTokens * price.output) /
    1e6
  )
}

function patternOf(model: string): RegExp {
  const parts = model.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}
