/** The URL of an upstream, by itself or behind its name. */
import { z } from 'zod'
import { redacted } from './redacted.ts'

/** The pattern of a name. */
export const nameSource = '[A-Za-z0-9_.-]+'

/** The pattern of what `new URL` takes and an upstream may be: no user, no query; a comma separates, so there is none. */
export const urlSource: string = '(?:[hH][tT][tT][pP][sS]?://[^\\s/?#@\\\\,]+(?:/[^\\s?#,]*)?|sandbox:[^\\s?#,]*)'

/** The pattern of a URL that may have a name. */
export const namedSource: string = `(?:${nameSource}=)?${urlSource}`

/** Takes a name and its URL apart. */
export const nameAndUrl: RegExp = new RegExp(`^(${nameSource})=(.*)$`, 's')

/** A text of such URLs, and of none that only `new URL` finds wrong, as a port beyond all ports. */
export function urlText(source: string): z.ZodString {
  return z
    .string({ error: 'must be a URL such as https://api.openai.com' })
    .regex(new RegExp(source), { error: ({ input }) => mistakeIn(String(input)) })
    .refine((written) => urlsIn(written).every((one) => URL.canParse(one)), {
      error: ({ input }) => mistakeIn(String(input)),
    })
}

function urlsIn(written: string): string[] {
  return written.split(',').map((part) => nameAndUrl.exec(part.trim())?.[2] ?? part.trim())
}

/** What is wrong with the first URL that is. */
function mistakeIn(written: string): string {
  const wrong = urlsIn(written).find((one) => !new RegExp(`^${urlSource}$`).test(one) || !URL.canParse(one)) ?? written
  const shown = `is "${redacted(wrong)}"`
  if (!URL.canParse(wrong)) return `${shown}, which is not a URL. Write it whole: https://api.openai.com`
  const { protocol, username, password } = new URL(wrong)
  if (!['http:', 'https:', 'sandbox:'].includes(protocol))
    return `${shown} and must begin with http:// or https:// (or be sandbox:).`
  if (username !== '' || password !== '')
    return "holds a user name or password. Credentials belong into the clients' headers."
  if (/[?#]/.test(wrong)) return 'has a query or a fragment, which an upstream cannot have.'
  return `${shown}, which is not a plain URL. Write it whole: https://api.openai.com`
}
