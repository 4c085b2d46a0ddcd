/** OpenAI. Paths: the resources of the npm package openai 7.57.0. */
import { longWork, longWorkIf, once, type Preset, repeatable } from './preset.ts'

/** Also for what speaks OpenAI's API behind another prefix. */
export const openai: Preset = {
  example: 'https://api.openai.com',
  hosts: ['api.openai.com', '*.api.openai.com'],
  rules: [
    ...longWorkIf('background', '*/v1/responses'),
    ...repeatable(
      '*/v1/chat/completions',
      '*/v1/responses',
      '*/v1/embeddings',
      '*/v1/moderations',
      '*/v1/completions',
      '*/v1/responses/input_tokens',
      '*/v1/responses/compact',
      '*/v1/audio/speech',
      '*/v1/audio/transcriptions',
      '*/v1/audio/translations',
      '*/v1/images/generations',
      '*/v1/images/edits',
      '*/v1/images/variations',
      '*/v1/decisions',
      '*/v1/content_provenance_checks',
      '*/v1/fine_tuning/alpha/graders/*',
      // What has been cancelled is cancelled: a second time changes nothing.
      '*/cancel',
    ),
    ...longWork(
      '*/v1/batches',
      '*/v1/files',
      '*/v1/uploads*',
      '*/v1/fine_tuning/*',
      '*/v1/videos*',
      '*/v1/evals*',
      '*/v1/vector_stores*',
    ),
    ...once(
      '*/v1/assistants*',
      '*/v1/threads*',
      '*/v1/conversations*',
      '*/v1/containers*',
      '*/v1/agents*',
      '*/v1/chatkit/*',
      '*/v1/realtime/*',
      '*/v1/live/*',
      '*/v1/audio/voice*',
      '*/v1/skills*',
      '*/v1/vaults*',
      '*/v1/webhook_endpoints*',
      '*/v1/organization/*',
      '*/v1/projects/*',
    ),
  ],
  restIsOnce: true,
}
