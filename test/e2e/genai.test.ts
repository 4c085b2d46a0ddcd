/** `@google/genai`, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { onNode22 } from './node22.ts'

clientSuite({
  name: '@google/genai',
  kinds: ['plain', 'stream', 'object', 'tools', 'toolsStream'],
  open: (stage) => onNode22(stage, 'genai.mjs'),
  afterTimeout: 'client',
  // Node words a broken connection `fetch failed`, which it does not take for one.
  afterBreak: 'caller',
  declaresRetries: false,
})
