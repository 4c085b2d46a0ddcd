/** vLLM. Paths: docs.vllm.ai/en/v0.32.0/serving/online_serving. Nothing is paid a call, but adapters are loaded. */
import { longWork, longWorkIf, type Preset, repeatable } from './preset.ts'

/** Has no host of its own: name it. */
export const vllm: Preset = {
  example: 'http://127.0.0.1:8000',
  hosts: [],
  rules: [
    ...longWorkIf('background', '*/v1/responses'),
    ...repeatable(
      '*/v1/chat/completions',
      '*/v1/completions',
      '*/v1/responses',
      '*/v1/messages',
      '*/v1/messages/count_tokens',
      '*/v1/embeddings',
      '*/v2/embed',
      '*/v1/decisions',
      '*/v1/chat/completions/batch',
      '*/v1/audio/transcriptions',
      '*/v1/audio/translations',
      '*/tokenize',
      '*/detokenize',
      '*/pooling',
      '*/classify',
      '*/score',
      '*/rerank',
      '*/invocations',
      '*/cancel',
    ),
    ...longWork('*/v1/batches', '*/v1/files'),
  ],
  restIsOnce: true,
}
