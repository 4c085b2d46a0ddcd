/** Amazon Bedrock. Paths: the npm package @aws-sdk/client-bedrock-runtime 3.1164.0; jobs: the Bedrock API reference. */
import { longWork, type Preset, repeatable } from './preset.ts'

/**
 * For a proxy that signs, which has a host of its own: name the preset there. A request that the client has signed itself
 * is signed for AWS's host (SigV4), which this gateway's is not.
 */
export const bedrock: Preset = {
  example: 'http://127.0.0.1:8080',
  hosts: ['bedrock-runtime.*.amazonaws.com', 'bedrock-runtime-fips.*.amazonaws.com'],
  rules: [
    ...repeatable(
      '*/model/*/invoke',
      '*/model/*/invoke-with-response-stream',
      '*/model/*/converse',
      '*/model/*/converse-stream',
      '*/model/*/count-tokens',
      '*/guardrail/*/version/*/apply',
      '*/guardrail-checks/invoke',
      '*/openai/v1/chat/completions',
    ),
    ...longWork('*/async-invoke', '*/model-invocation-job', '*/model-customization-jobs'),
  ],
  restIsOnce: true,
}
