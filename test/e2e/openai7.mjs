// Runs openai 7 on Node 22 for sdk.ts; Node 22 takes the types out of openai.ts by itself.
import OpenAI, { toFile } from 'openai7'
import { perform } from './openai.ts'
import { serve } from './serve.mjs'

await serve((ask) => perform(OpenAI, toFile, ask))
