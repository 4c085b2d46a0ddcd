/** Gemini. Paths: the calls of the npm package @google/genai 3.3.0, whose version stands in front (`/v1beta`). */
import { longWork, once, type Preset, repeatable } from './preset.ts'

/** A method is behind a colon; `/openai/` is Google's own layer for OpenAI's clients. */
export const gemini: Preset = {
  example: 'https://generativelanguage.googleapis.com',
  hosts: ['generativelanguage.googleapis.com'],
  rules: [
    ...repeatable(
      '*:generateContent',
      '*:streamGenerateContent',
      '*:countTokens',
      '*:embedContent',
      '*:batchEmbedContents',
      '*:predict',
      '*:computeTokens',
      '*/openai/chat/completions',
      '*/openai/embeddings',
      '*/openai/images/generations',
      '*:cancel',
      '*/cancel',
    ),
    ...longWork(
      '*:batchGenerateContent',
      '*:asyncBatchEmbedContent',
      '*:predictLongRunning',
      '*/batches',
      '*/files',
      '*/files:register',
      '*/tunedModels',
      '*/tuningJobs',
      '*/interactions',
      '*/fileSearchStores*',
    ),
    ...once('*/cachedContents', '*/auth_tokens'),
  ],
  restIsOnce: true,
}
