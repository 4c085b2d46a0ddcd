// Runs @google/genai on Node 22 for genai.test.ts.
import { perform } from './genai.ts'
import { serve } from './serve.mjs'

await serve(perform)
