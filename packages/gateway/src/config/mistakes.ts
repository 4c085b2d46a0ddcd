/** A mistake in one sentence: where it stands, what is wrong, what to write. */
import { z } from 'zod'
import { meant } from './nearest.ts'
import { redacted } from './redacted.ts'
import { UsageError } from './usage.ts'

/** Where a value stands, for the sentence that refuses it: `--lease`, `ONCEKEY_LEASE`, `routes[2].wait in FILE`. */
export type Place = (path: readonly PropertyKey[]) => string

/** The value as its schema reads it. Throws UsageError with the first mistake. */
export function checked<T>(schema: z.ZodType<T>, value: unknown, place: Place): T {
  const result = schema.safeParse(value, { reportInput: true, error: () => 'cannot be right.' })
  if (result.success) return result.data
  const [first] = result.error.issues
  throw new UsageError(first === undefined ? `${place([])} cannot be right.` : sentenceOf(first, place))
}

/** The place of a mistake in a file: `routes[2].retention in once.yaml`. */
export function placeIn(file: string): Place {
  return (path) => {
    const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    return path.length === 0 ? file : `${steps.join('').replace(/^\./, '')} in ${file}`
  }
}

/** An object of these keys and no others. `wanted` is the end of the sentence for what is no object at all. */
export function keysAndValues<S extends z.ZodRawShape>(shape: S, wanted: string): z.ZodObject<S, z.core.$strict> {
  const error = (issue: { readonly code?: string; readonly keys?: readonly string[] }): string => {
    const [unknown] = issue.keys ?? []
    return unknown === undefined
      ? wanted
      : `has the unknown key "${unknown}"; ${meant(
          unknown,
          Object.keys(shape).filter((key) => key !== '$schema'),
        )}`
  }
  return z.strictObject(shape, { error })
}

type Issue = z.core.$ZodIssue

/** A schema's message is the end of a sentence: `must be …`, behind which the value is shown, or a whole predicate. */
function sentenceOf(issue: Issue, place: Place): string {
  if (issue.code === 'invalid_union') {
    const closest = closestOf(issue.errors.flat())
    if (closest !== undefined && reach(closest) > 0)
      return sentenceOf(closest, (path) => place([...issue.path, ...path]))
  }
  if (issue.code === 'invalid_key')
    return `${place(issue.path.slice(0, -1))} ${issue.issues[0]?.message ?? issue.message}`
  const { message, input } = issue
  const here = place(issue.path)
  if (!message.startsWith('must ')) return `${here} ${message}`
  if (input === undefined) return `${here} is missing and ${message}.`
  if (typeof input === 'object' && input !== null) return `${here} ${message}.`
  return `${here} is ${typeof input === 'string' ? `"${redacted(input)}"` : JSON.stringify(input)} and ${message}.`
}

/** Of all that a value could have been, the one it comes closest to says what is wrong with it. */
function closestOf(issues: readonly Issue[]): Issue | undefined {
  return [...issues].sort((one, other) => reach(other) - reach(one))[0]
}

/** How far the reading came: deep inside is farther than at the top, a wrong text is farther than no text at all. */
function reach(issue: Issue): number {
  const inside = issue.code === 'invalid_union' ? Math.max(0, ...issue.errors.flat().map(reach)) : 0
  const right = issue.code === 'invalid_type' || issue.code === 'invalid_union' ? 0 : 1
  return 2 * issue.path.length + right + inside
}
