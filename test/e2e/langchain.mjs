// Runs LangChain on Node 22 for the tests of its two providers.
import { perform } from './langchain.ts'
import { serve } from './serve.mjs'

await serve(perform)
