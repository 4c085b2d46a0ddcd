/** Mistral. Paths: the functions of the npm package @mistralai/mistralai 2.7.0. */
import { longWork, once, type Preset, repeatable } from './preset.ts'

/** `POST /v1/conversations` keeps what was said, and `…/tools/{name}/call` runs a tool: both are made once. */
export const mistral: Preset = {
  example: 'https://api.mistral.ai',
  hosts: ['api.mistral.ai', '*.api.mistral.ai'],
  rules: [
    ...repeatable(
      '*/v1/chat/completions',
      '*/v1/fim/completions',
      '*/v1/agents/completions',
      '*/v1/embeddings',
      '*/v1/moderations',
      '*/v1/chat/moderations',
      '*/v1/classifications',
      '*/v1/chat/classifications',
      '*/v1/ocr',
      '*/v1/audio/speech',
      '*/v1/audio/transcriptions',
      '*/cancel',
    ),
    ...longWork('*/v1/batch/jobs', '*/v1/files', '*/v1/fine_tuning/*', '*/v1/libraries*'),
    ...once('*/v1/agents*', '*/v1/conversations*', '*/v1/connectors*', '*/v1/audio/voices*', '*/v1/observability/*'),
  ],
  restIsOnce: true,
}
