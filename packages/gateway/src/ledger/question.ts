/** What an operator asks the ledger, as words. */

import type { Counts } from './row.ts'
import { type Dimension, dimensions, type Line, type Question, saved } from './summary.ts'

/** By their names; an absent one is not asked for. */
export interface Asking {
  readonly by?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly tenant?: string | undefined
}

/** The question. Throws an Error that begins with the name of what is wrong: `by`, `since` or `until`. */
export function questionFrom({ by = 'model', since, until, tenant }: Asking): Question {
  return {
    by: dimensionsOf(by),
    ...(since === undefined ? {} : { since: dayOf('since', since) }),
    ...(until === undefined ? {} : { until: dayOf('until', until) }),
    ...(tenant === undefined ? {} : { tenant }),
  }
}

function dimensionsOf(by: string): readonly Dimension[] {
  const named = by.split(',').map((name) => name.trim())
  const unknown = named.find((name) => !dimensions.some((dimension) => dimension === name))
  if (unknown === undefined) return named as Dimension[]
  throw new Error(`by has "${unknown}", by which nothing is told apart. Known: ${dimensions.join(', ')}.`)
}

function dayOf(name: string, day: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day))) return day
  throw new Error(`${name} is "${day}" and must be a day such as 2026-11-24.`)
}

/** A line as JSON has it. */
export function lineJson({ of, counts }: Line): object {
  return { ...of, ...counts, savedNanodollars: saved(counts).nanodollars }
}

/** All lines together, as JSON has them. */
export function totalJson(total: Counts): object {
  return { total: true, ...total, savedNanodollars: saved(total).nanodollars }
}
