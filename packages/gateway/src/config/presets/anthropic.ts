/** Anthropic. Paths: the resources of the npm package @anthropic-ai/sdk 1.13.0. */
import { longWork, once, type Preset, repeatable } from './preset.ts'

/** Messages are computed again at the price of one more; everything else makes something. */
export const anthropic: Preset = {
  example: 'https://api.anthropic.com',
  hosts: ['api.anthropic.com'],
  rules: [
    ...repeatable('*/v1/messages', '*/v1/messages/count_tokens', '*/cancel'),
    ...longWork('*/v1/messages/batches', '*/v1/files', '*/v1/dreams'),
    ...once(
      '*/v1/agents*',
      '*/v1/deployments*',
      '*/v1/environments*',
      '*/v1/memory_stores*',
      '*/v1/sessions*',
      '*/v1/skills*',
      '*/v1/tunnels*',
      '*/v1/user_profiles*',
      '*/v1/vaults*',
      '*/v1/organizations/*',
    ),
  ],
  restIsOnce: true,
}
