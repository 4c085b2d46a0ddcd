// Runs the SDKs with idempotentFetch on Node 22 for fetch.test.ts.
import { perform } from './fetched.ts'
import { serve } from './serve.mjs'

// Its warnings go to stdout otherwise, which belongs to serve.mjs.
globalThis.AI_SDK_LOG_WARNINGS = false
await serve(perform)
