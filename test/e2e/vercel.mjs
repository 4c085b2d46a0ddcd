// Runs Vercel's ai on Node 22 for vercel.test.ts.
import { serve } from './serve.mjs'
import { perform } from './vercel.ts'

// Its warnings go to stdout otherwise, which belongs to serve.mjs.
globalThis.AI_SDK_LOG_WARNINGS = false
await serve(perform)
