/** OpenRouter. Paths: the functions of the npm package @openrouter/sdk 1.3.19, and openrouter.ai/docs/api-reference. */
import { longWork, longWorkIf, once, type Preset, repeatable } from './preset.ts'

/** `…/interns/{id}/chat/completions` is an agent's turn and no inference, so no pattern here begins before `/v1`. */
export const openrouter: Preset = {
  example: 'https://openrouter.ai/api',
  hosts: ['openrouter.ai', '*.openrouter.ai'],
  rules: [
    ...longWorkIf('background', '*/v1/responses', '*/v1/presets/*/responses'),
    ...repeatable(
      '*/v1/chat/completions',
      '*/v1/responses',
      '*/v1/messages',
      '*/v1/completions',
      '*/v1/embeddings',
      '*/v1/rerank',
      '*/v1/audio/speech',
      '*/v1/audio/transcriptions',
      '*/v1/images',
      '*/v1/presets/*/chat/completions',
      '*/v1/presets/*/responses',
      '*/v1/presets/*/messages',
    ),
    ...longWork('*/v1/files', '*/v1/videos*'),
    ...once('*/v1/keys*', '*/v1/auth/*', '*/v1/interns*', '*/v1/containers*', '*/v1/vault/*', '*/v1/guardrails*'),
  ],
  restIsOnce: true,
}
