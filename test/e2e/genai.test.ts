/** `@google/genai`, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { onNode22 } from './node22.ts'
import { roster } from './roster.ts'

clientSuite(roster.genai, (stage) => onNode22(stage, 'genai.mjs'))
