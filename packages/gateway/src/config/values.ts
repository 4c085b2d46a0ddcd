/** Single values of the operators' flags, by the schemas of the configuration. */
import { integer as between, choice as oneOf } from './kinds.ts'
import { checked } from './mistakes.ts'

/** Where a value was written, for the sentence that refuses it: `--lease`, `ONCEKEY_LEASE` or `lease in FILE`. */
export type Origin = string

/** A whole number inside bounds. Throws UsageError, which begins with `origin`: `--limit`. */
export function integer(value: unknown, origin: Origin, least: number, most: number): number {
  return checked(between(least, most), value, () => origin)
}

/** One of the listed words. Throws UsageError, which begins with `origin`. */
export function choice<const W extends string>(value: unknown, origin: Origin, words: readonly W[]): W {
  return checked(oneOf(words), value, () => origin)
}
