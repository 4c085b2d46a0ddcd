/** Ollama. Paths: its docs/api.md and docs/openai.md. Nothing is paid a call, but models are made and pushed. */
import { longWork, type Preset, repeatable } from './preset.ts'

/** A pull is picked up where it was left ("multiple calls will share the same download progress"), so it may be repeated. */
export const ollama: Preset = {
  example: 'http://127.0.0.1:11434',
  hosts: ['ollama.com'],
  rules: [
    ...repeatable(
      '*/api/chat',
      '*/api/generate',
      '*/api/embed',
      '*/api/embeddings',
      '*/api/show',
      '*/api/pull',
      '*/api/web_search',
      '*/api/web_fetch',
      '*/v1/chat/completions',
      '*/v1/completions',
      '*/v1/responses',
      '*/v1/messages',
      '*/v1/embeddings',
      '*/v1/images/generations',
    ),
    ...longWork('*/api/create', '*/api/push', '*/api/copy'),
  ],
  restIsOnce: true,
}
