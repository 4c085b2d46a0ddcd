/** What an option is: one row of the table, and the names that follow from its flag. */

/** How an option's value is written; `kinds.ts` has the schema of each. */
export type OptionKind =
  | 'duration'
  | 'size'
  | 'integer'
  | 'boolean'
  | 'choice'
  | 'text'
  | 'header'
  | 'list'
  | 'jsonPaths'
  | 'classes'
  | 'prices'
  | 'upstream'

/** One option; `flag` is without its dashes. */
export interface OptionSpec {
  readonly flag: string
  readonly kind: OptionKind
  /** As a user would write it; '' when there is none. */
  readonly default: string
  readonly help: string
  readonly placeholder: string
  readonly words?: readonly string[]
  /** Of a choice: words that make sense in a route only. */
  readonly routeWords?: readonly string[]
  /** Of an integer. */
  readonly bounds?: readonly [number, number]
  /** Of a duration, ms. */
  readonly leastMs?: number
  /** Of a size. */
  readonly leastBytes?: number
  /** May stand in a route of the configuration file too. */
  readonly perRoute?: boolean
  /** Only in a file: no flag, no variable. */
  readonly fileOnly?: boolean
}

/** The key in a configuration file: `on-abandoned` → `onAbandoned`. */
export function fileKey(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** The variable: `on-abandoned` → `ONCEKEY_ON_ABANDONED`. */
export function variable(flag: string): string {
  return `ONCEKEY_${flag.replaceAll('-', '_').toUpperCase()}`
}
