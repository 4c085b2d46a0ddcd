/** What an answer says it used, read from its bytes as they pass: every provider's names brought to one set of units. */
import type { JsonShape, JsonSink } from './peek.ts'

/** Units that prices are given for. Tokens of the cache and of audio and images are part of the input and the output. */
export type UsageUnit =
  | 'inputTokens'
  | 'outputTokens'
  | 'cacheReadTokens'
  | 'cacheWriteTokens'
  | 'cacheReadAudioTokens'
  | 'cacheReadImageTokens'
  /** Of those written, the ones kept for an hour, which Anthropic bills higher. */
  | 'cacheWriteHourTokens'
  | 'inputAudioTokens'
  | 'outputAudioTokens'
  | 'inputImageTokens'
  | 'outputImageTokens'
  | 'audioSeconds'
  | 'webSearches'
  /** What the provider itself says it charges, in US dollars (OpenRouter). */
  | 'costUsd'

/** What one answer used. A unit that is absent was not mentioned. */
export interface Usage {
  /** As the answer names it; undefined where it names none. */
  readonly model: string | undefined
  readonly units: Readonly<Partial<Record<UsageUnit, number>>>
}

/**
 * Members of `usage` and of `usageMetadata`, by path. Sources: the types of the packages openai 7, @anthropic-ai/sdk 1,
 * @google/genai 3 and the extractors of @pydantic/genai-prices 0.1.
 */
const usagePaths: readonly string[] = [
  'prompt_tokens',
  'completion_tokens',
  'input_tokens',
  'output_tokens',
  'cached_tokens',
  'prompt_cache_hit_tokens',
  'prompt_tokens_details.cached_tokens',
  'prompt_tokens_details.cache_write_tokens',
  'prompt_tokens_details.audio_tokens',
  'completion_tokens_details.audio_tokens',
  'input_tokens_details.cached_tokens',
  'input_tokens_details.cache_write_tokens',
  'input_tokens_details.image_tokens',
  'output_tokens_details.image_tokens',
  'input_token_details.audio_tokens',
  'cache_creation_input_tokens',
  'cache_read_input_tokens',
  'cache_creation.ephemeral_1h_input_tokens',
  'server_tool_use.web_search_requests',
  'seconds',
  'cost',
]
const metadataPaths: readonly string[] = [
  'promptTokenCount',
  'candidatesTokenCount',
  'thoughtsTokenCount',
  'toolUsePromptTokenCount',
  'cachedContentTokenCount',
]
/** Gemini counts by modality in lists of `{modality, tokenCount}`. */
const modalityLists: readonly string[] = ['promptTokensDetails', 'candidatesTokensDetails', 'cacheTokensDetails']

/** A tree of members from dotted paths; each leaf counts under its whole path. */
function treeOf(paths: readonly string[]): Map<string, JsonShape> {
  const members = new Map<string, JsonShape>()
  for (const path of paths) {
    const [first = '', second] = path.split('.')
    if (second === undefined) members.set(first, { count: path })
    else {
      const inner = new Map(members.get(first)?.members)
      members.set(first, { members: inner.set(second, { count: path }) })
    }
  }
  return members
}

function modalityList(name: string): JsonShape {
  const entry = new Map<string, JsonShape>([
    ['modality', { text: 'modality' }],
    ['tokenCount', { count: `${name}.` }],
  ])
  return { items: { members: entry } }
}

const usage: JsonShape = { members: treeOf(usagePaths) }
const usageMetadata: JsonShape = {
  members: new Map([
    ...treeOf(metadataPaths),
    ...modalityLists.map((name): [string, JsonShape] => [name, modalityList(name)]),
  ]),
}
const model: JsonShape = { text: 'model' }

/** Where usage stands in an answer or an event, beside what `with` names; `message` and `response` wrap it in events. */
export function usageMembers(withModel: boolean): Map<string, JsonShape> {
  const named: [string, JsonShape][] = withModel ? [['model', model]] : []
  const inner = new Map<string, JsonShape>([['usage', usage], ...named])
  return new Map<string, JsonShape>([
    ['usage', usage],
    ['usageMetadata', usageMetadata],
    ['message', { members: inner }],
    ['response', { members: inner }],
    ...named,
    ...(withModel ? [['modelVersion', model] as [string, JsonShape]] : []),
  ])
}

/** Gathers what the members say. What comes later in a stream replaces what came before: providers count up. */
export class UsageReader implements JsonSink {
  model: string | undefined
  readonly #counts = new Map<string, number>()
  #modality = ''

  see(): void {}

  count(name: string, value: number): void {
    const counted = name.endsWith('.') ? `${name}${this.#modality}` : name
    this.#counts.set(counted, value)
  }

  text(name: string, value: string): void {
    if (name === 'modality') this.#modality = value
    else this.model ??= value
  }

  /** Undefined while nothing was said of usage. */
  get usage(): Usage | undefined {
    if (this.#counts.size === 0) return undefined
    const counts = this.#counts
    const of = (...names: string[]): number | undefined => {
      for (const name of names) if (counts.has(name)) return counts.get(name)
      return undefined
    }
    const cacheWritten = of('cache_creation_input_tokens')
    const cacheRead = of('cache_read_input_tokens')
    const units: Partial<Record<UsageUnit, number>> = {}
    const put = (unit: UsageUnit, ...values: (number | undefined)[]): void => {
      const known = values.filter((value) => value !== undefined)
      if (known.length > 0) units[unit] = known.reduce((sum, value) => sum + value, 0)
    }
    // Anthropic counts what went through its cache beside the input, the others as a part of it.
    put('inputTokens', of('prompt_tokens', 'input_tokens', 'promptTokenCount'), cacheWritten, cacheRead)
    put('inputTokens', units.inputTokens, of('toolUsePromptTokenCount'))
    put('outputTokens', of('completion_tokens', 'output_tokens', 'candidatesTokenCount'), of('thoughtsTokenCount'))
    put(
      'cacheReadTokens',
      cacheRead ??
        of(
          'prompt_tokens_details.cached_tokens',
          'input_tokens_details.cached_tokens',
          'cachedContentTokenCount',
          'prompt_cache_hit_tokens',
          'cached_tokens',
        ),
    )
    const writtenElsewhere = of('prompt_tokens_details.cache_write_tokens', 'input_tokens_details.cache_write_tokens')
    put('cacheWriteTokens', cacheWritten ?? writtenElsewhere)
    put('cacheWriteHourTokens', of('cache_creation.ephemeral_1h_input_tokens'))
    const audioIn = of('prompt_tokens_details.audio_tokens', 'input_token_details.audio_tokens')
    put('inputAudioTokens', audioIn ?? of('promptTokensDetails.AUDIO'))
    put('outputAudioTokens', of('completion_tokens_details.audio_tokens', 'candidatesTokensDetails.AUDIO'))
    put('inputImageTokens', of('input_tokens_details.image_tokens', 'promptTokensDetails.IMAGE'))
    put('outputImageTokens', of('output_tokens_details.image_tokens', 'candidatesTokensDetails.IMAGE'))
    if ([...counts.keys()].some((name) => name.startsWith('cacheTokensDetails.'))) {
      put('cacheReadAudioTokens', of('cacheTokensDetails.AUDIO') ?? 0)
      put('cacheReadImageTokens', of('cacheTokensDetails.IMAGE') ?? 0)
    }
    put('audioSeconds', of('seconds'))
    put('webSearches', of('server_tool_use.web_search_requests'))
    put('costUsd', of('cost'))
    return { model: this.model, units }
  }
}
