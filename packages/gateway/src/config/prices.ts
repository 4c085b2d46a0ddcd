/** An operator's own prices as they are written in the file: model → US dollars per million tokens. */
import { z } from 'zod'
import type { OwnPrice } from '../ledger/index.ts'
import { keysAndValues } from './mistakes.ts'

const wanted = 'must be a map such as { my-model: { input: 2, output: 8 } }'
const dollars = z
  .number({ error: 'must be US dollars per million tokens, such as 2.5' })
  .min(0, { error: 'must be US dollars per million tokens, such as 2.5' })
const price = keysAndValues(
  { input: dollars, output: dollars, cacheRead: dollars.optional(), cacheWrite: dollars.optional() },
  'must hold input and output, and cacheRead and cacheWrite if they cost something else',
)

/** In the order of the file, for the first match holds. */
export const prices: z.ZodType<readonly OwnPrice[]> = z
  .record(z.string(), price, { error: wanted })
  .transform((models) =>
    Object.entries(models).map(([model, { input, output, cacheRead, cacheWrite }]) => ({
      model,
      input,
      output,
      ...(cacheRead === undefined ? {} : { cacheRead }),
      ...(cacheWrite === undefined ? {} : { cacheWrite }),
    })),
  )
