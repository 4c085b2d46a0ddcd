/** The schema of each kind of option: what may be written, what comes of it, and how a mistake is called. */
import { z } from 'zod'
import type { OwnPrice } from '../ledger/index.ts'
import { type Classes, classes } from './classify.ts'
import type { OptionKind, OptionSpec } from './option.ts'
import { digitsBetween, durationPattern, jsonPathPattern, sizePattern } from './patterns.ts'
import { prices } from './prices.ts'
import { type NamedUpstream, upstreams } from './upstreams.ts'

/** What comes of an option of each kind; durations in ms, sizes in bytes. */
export interface KindValues {
  readonly duration: number
  readonly size: number
  readonly integer: number
  readonly boolean: boolean
  readonly choice: string
  readonly text: string
  readonly header: string
  readonly list: readonly string[]
  readonly jsonPaths: readonly string[]
  readonly classes: Classes
  readonly prices: readonly OwnPrice[]
  readonly upstream: readonly NamedUpstream[]
}

/** The schema of an option. It takes what a flag, a variable or a file holds, for those write the same words. */
export function schemaOf(spec: OptionSpec): z.ZodType {
  return kinds[spec.kind](spec)
}

const kinds: { readonly [K in OptionKind]: (spec: OptionSpec) => z.ZodType<KindValues[K]> } = {
  duration: ({ leastMs }) => duration(leastMs ?? 0),
  size: ({ leastBytes }) => size(leastBytes ?? 0),
  integer: ({ bounds }) => integer(bounds?.[0] ?? 0, bounds?.[1] ?? Number.MAX_SAFE_INTEGER),
  boolean: () => boolean,
  choice: ({ words = [] }) => choice(words),
  text: () => text,
  header: () => header,
  list: () => list,
  jsonPaths: () => jsonPaths,
  classes: () => classes,
  prices: () => prices,
  upstream: () => upstreams,
}

/** A text of a pattern; `error` is the end of the sentence that refuses any other. */
function matching(pattern: RegExp, error: string): z.ZodString {
  return z.string({ error }).regex(pattern, { error })
}

function wholeNumber(least: number, most: number, error: string): z.ZodNumber {
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error })
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `500ms`, `30s`, `10m`, `24h`, `2d`. A pattern cannot count: what it lets through is compared. */
function duration(leastMs: number): z.ZodType<number> {
  const wanted = 'must be a duration such as 500ms, 30s, 10m or 24h'
  const tooLittle = leastMs <= 1 ? 'must be more than 0' : `must be at least ${leastMs}ms`
  const error = ({ input }: { readonly input?: unknown }): string =>
    typeof input === 'string' && durationPattern(0).test(input) ? tooLittle : wanted
  return z
    .string({ error })
    .regex(durationPattern(leastMs), { error })
    .refine((written) => milliseconds(written) >= leastMs, { error: tooLittle })
    .transform(milliseconds)
}

function milliseconds(written: string): number {
  const [, digits, unit = ''] = /^(.*?)([a-z]+)$/s.exec(written.trim()) ?? []
  return Math.round(Number(digits) * (unitsMs[unit] ?? 1))
}

const unitsBytes: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

/** Bytes of `512kb`, `64mb`, `1gb`, or a plain number of bytes. A pattern cannot count: what it lets through is compared. */
function size(leastBytes: number): z.ZodType<number> {
  const wanted = 'must be a size such as 512kb, 64mb or 1gb'
  const tooLittle = 'must be more than 0'
  const error = ({ input }: { readonly input?: unknown }): string =>
    input === 0 || (typeof input === 'string' && sizePattern(0).test(input)) ? tooLittle : wanted
  return z
    .union(
      [
        z.number({ error }).int({ error }).min(leastBytes, { error }).max(Number.MAX_SAFE_INTEGER, { error }),
        z.string({ error }).regex(sizePattern(leastBytes), { error }),
      ],
      { error },
    )
    .refine((written) => bytes(written) >= leastBytes, { error: tooLittle })
    .transform(bytes)
}

function bytes(written: string | number): number {
  const [, digits, unit = 'b'] = /^([\d.]+)([a-z]*)$/.exec(String(written).trim().toLowerCase()) ?? []
  return Math.floor(Number(digits) * (unitsBytes[unit] ?? 1))
}

/** A whole number, also in quotes: templates of configuration files put everything into quotes. */
export function integer(least: number, most: number): z.ZodType<number> {
  const error = `must be a whole number from ${least} to ${most}`
  return z
    .union([wholeNumber(least, most, error), matching(digitsBetween(least, most), error)], { error })
    .transform(Number)
}

const wantedBoolean = 'must be true or false'
const boolean: z.ZodType<boolean> = z
  .union(
    [
      z.boolean({ error: wantedBoolean }),
      z.literal([0, 1], { error: wantedBoolean }),
      matching(/^\s*(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO]|[01])\s*$/, wantedBoolean),
    ],
    { error: wantedBoolean },
  )
  .transform((written) => ['true', '1', 'yes'].includes(String(written).trim().toLowerCase()))

/** One of some words. */
export function choice<const W extends string>(words: readonly W[]): z.ZodType<W> {
  return z.enum(words, { error: `must be one of ${words.join(', ')}` })
}

const text: z.ZodType<string> = matching(/\S/, 'must be a text that is not empty').transform((written) =>
  written.trim(),
)

const header: z.ZodType<string> = matching(/^[!#$%&'*+.^_`|~\w-]+$/, 'must be the name of a header').transform((name) =>
  name.toLowerCase(),
)

/** A list, or its items joined by commas. */
function listOf(item: z.ZodString, joined: z.ZodString, error: string): z.ZodType<readonly string[]> {
  return z.union([joined, z.array(item, { error })], { error }).transform((written) =>
    typeof written === 'string'
      ? written
          .split(',')
          .map((word) => word.trim())
          .filter((word) => word !== '')
      : written,
  )
}

const words = z.string({ error: 'must be a text' })
const list: z.ZodType<readonly string[]> = listOf(words, words, 'must be a list of words')

const wantedPath = "must be a JSON path such as metadata.trace_id or 'messages[*].id', with * for every item"
const jsonPaths: z.ZodType<readonly string[]> = listOf(
  matching(jsonPathPattern(false), wantedPath),
  matching(jsonPathPattern(true), wantedPath),
  'must be a list of JSON paths',
)
