/** Presets: what is known about the kinds of API, and which of them an upstream is. */
import { anthropic } from './anthropic.ts'
import { azure } from './azure.ts'
import { bedrock } from './bedrock.ts'
import { common } from './common.ts'
import { gemini } from './gemini.ts'
import { mistral } from './mistral.ts'
import { ollama } from './ollama.ts'
import { openai } from './openai.ts'
import { openrouter } from './openrouter.ts'
import { once, type Preset, type PresetRule } from './preset.ts'
import { vllm } from './vllm.ts'

export type { PresetRule } from './preset.ts'

/** By what a configuration calls it. */
export type PresetName =
  | 'openai'
  | 'azure'
  | 'anthropic'
  | 'gemini'
  | 'mistral'
  | 'openrouter'
  | 'bedrock'
  | 'vllm'
  | 'ollama'
  | 'common'

/** Every preset there is. */
export const presets: Readonly<Record<PresetName, Preset>> = {
  openai,
  azure,
  anthropic,
  gemini,
  mistral,
  openrouter,
  bedrock,
  vllm,
  ollama,
  common,
}

/** In the order of the help. */
export const presetNames: readonly PresetName[] = Object.keys(presets) as PresetName[]

/** What holds for an upstream: the names of its presets, and their rules as one list. */
export interface ChosenPresets {
  readonly names: readonly PresetName[]
  readonly rules: readonly PresetRule[]
}

/** The presets of an upstream: the one it names, else by its host, else what is common to all APIs. */
export function presetsFor({
  url,
  preset,
}: {
  readonly url: URL
  readonly preset: PresetName | 'none' | undefined
}): ChosenPresets {
  if (preset === 'none') return { names: [], rules: [] }
  const names = preset === undefined ? byHost(url) : [preset]
  const chosen = names.map((name) => presets[name])
  const rest = chosen.some(({ restIsOnce }) => restIsOnce) ? once('*') : []
  return { names, rules: [...chosen.flatMap(({ rules }) => rules), ...rest] }
}

function byHost({ protocol, hostname }: URL): PresetName[] {
  // The pretend provider speaks for all three.
  if (protocol === 'sandbox:') return ['openai', 'anthropic', 'gemini']
  const known = presetNames.find((name) => presets[name].hosts.some((host) => isHost(hostname, host)))
  return [known ?? 'common']
}

/** A trailing dot names the same host (RFC 1034 §3.1). */
function isHost(hostname: string, pattern: string): boolean {
  const source = pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]+')
  return new RegExp(`^${source}\\.?$`).test(hostname)
}
