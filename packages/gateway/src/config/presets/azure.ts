/**
 * Azure OpenAI: deployments, the paths without one, and the v1 paths. Paths: `azure.mjs` of the npm package openai 7.57.0
 * for deployments, and learn.microsoft.com/azure/foundry/openai (authoring and inference reference) for the others.
 */
import { longWork, longWorkIf, once, type Preset, repeatable } from './preset.ts'

/** Both generations of the API; `/openai/v1/…` are OpenAI's own paths. */
export const azure: Preset = {
  example: 'https://YOUR-RESOURCE.openai.azure.com',
  hosts: ['*.openai.azure.com', '*.cognitiveservices.azure.com', '*.services.ai.azure.com'],
  rules: [
    ...longWorkIf('background', '*/openai/v1/responses', '*/openai/responses'),
    ...repeatable(
      '*/openai/deployments/*/chat/completions',
      '*/openai/v1/chat/completions',
      '*/openai/v1/responses',
      '*/openai/responses',
      '*/openai/deployments/*/embeddings',
      '*/openai/v1/embeddings',
      '*/openai/deployments/*/completions',
      '*/openai/v1/completions',
      '*/openai/deployments/*/audio/*',
      '*/openai/v1/audio/speech',
      '*/openai/v1/audio/transcriptions',
      '*/openai/v1/audio/translations',
      '*/openai/deployments/*/images/generations',
      '*/openai/deployments/*/images/edits',
      '*/openai/v1/images/generations',
      '*/openai/v1/images/edits',
      '*/models/chat/completions',
      '*/models/embeddings',
      '*/models/images/embeddings',
      '*/anthropic/v1/messages',
      '*/anthropic/v1/messages/count_tokens',
      '*/cancel',
    ),
    ...longWork(
      '*/batches',
      '*/openai/files*',
      '*/openai/v1/files*',
      '*/openai/uploads*',
      '*/openai/v1/uploads*',
      '*/openai/fine_tuning/*',
      '*/openai/v1/fine_tuning/*',
      '*/openai/v1/videos*',
      '*/video/generations/jobs',
      '*/openai/v1/evals*',
      '*/openai/vector_stores*',
      '*/openai/v1/vector_stores*',
      '*/openai/ingestion/*',
      '*/openai/images/generations:submit',
    ),
    ...once('*/openai/assistants*', '*/openai/threads*', '*/openai/v1/conversations*', '*/openai/v1/containers*'),
  ],
  restIsOnce: true,
}
