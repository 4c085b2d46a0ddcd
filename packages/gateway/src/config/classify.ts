/** `classify`: what the answers of a route mean, by status or by class of status. */
import type { Classify } from 'oncekey/http'
import { z } from 'zod'

/** The words of the classes of endings (docs/reference/endings.md). */
const words = ['final', 'not_executed', 'indeterminate'] as const

/** `404` or `5xx` → what an answer of that status is. */
export type Classes = Readonly<Record<string, (typeof words)[number]>>

/** As it stands in a file. */
export const classes: z.ZodType<Classes> = z.record(
  z.string().regex(/^[2-5](?:\d\d|xx)$/, {
    error: ({ input }) => `has "${input}", which is neither a status such as 429 nor a class such as 5xx.`,
  }),
  z.enum(words, { error: `must be one of ${words.join(', ')}` }),
  { error: "must hold statuses and what they mean, such as { 404: final, '5xx': not_executed }" },
)

/**
 * The library's `classify` of such a table: an exact status before its class, and what the table does not name by the
 * defaults. An answer that broke off is never final, for half of it would be replayed as the whole.
 */
export function classifyBy(table: Classes): Classify {
  return (ending) => {
    if (ending.kind !== 'response') return undefined
    const status = String(ending.status)
    const said = table[status] ?? table[`${status.charAt(0)}xx`]
    return said === 'final' && !ending.complete ? undefined : said
  }
}
