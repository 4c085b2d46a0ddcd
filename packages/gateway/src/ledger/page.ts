/** The ledger as text in columns, for a terminal and for a log. */
import type { Counter, Counts } from './row.ts'
import { type Dimension, type Line, saved } from './summary.ts'

interface Column {
  readonly title: string
  readonly of: (counts: Counts) => string
  /** Left out where nothing was counted under it. */
  readonly onlyWith?: Counter
}

const count =
  (counter: Counter) =>
  (counts: Counts): string =>
    number(counts[counter] ?? 0)
const money =
  (counter: Counter, unpriced: Counter) =>
  (counts: Counts): string =>
    dollars(counts[counter] ?? 0, counts[unpriced] ?? 0)

/** `+n?` beside an amount: so many requests more, of which no price is known. */
const columns: readonly Column[] = [
  { title: 'executed', of: count('executed') },
  { title: 'lost', of: count('lost'), onlyWith: 'lost' },
  { title: 'tokens in', of: count('inputTokens') },
  { title: 'out', of: count('outputTokens') },
  { title: 'spent', of: (counts) => dollars(counts.nanodollars ?? 0, unknownPrices(counts)) },
  { title: 'replayed', of: count('replayed'), onlyWith: 'replayed' },
  { title: 'saved', of: money('replayedNanodollars', 'replayedUnpriced'), onlyWith: 'replayed' },
  { title: 'joined', of: count('joined'), onlyWith: 'joined' },
  { title: 'saved', of: money('joinedNanodollars', 'joinedUnpriced'), onlyWith: 'joined' },
  { title: 'drained', of: count('drained'), onlyWith: 'drained' },
  { title: 'saved', of: money('drainedNanodollars', 'drainedUnpriced'), onlyWith: 'drained' },
  { title: 'resumed', of: count('resumed'), onlyWith: 'resumed' },
  { title: 'saved', of: money('resumedNanodollars', 'resumedUnpriced'), onlyWith: 'resumed' },
]

/** Lines under their titles, a total below, and in words what is not known. */
export function pageOf(by: readonly Dimension[], lines: readonly Line[], total: Counts): string {
  const shown = columns.filter(({ onlyWith }) => onlyWith === undefined || (total[onlyWith] ?? 0) > 0)
  const titles = [...by, ...shown.map(({ title }) => title)]
  const body = lines.map(({ of, counts }) => [
    ...by.map((dimension) => of[dimension] || '–'),
    ...shown.map((column) => column.of(counts)),
  ])
  const sum = [...by.map((_, at) => (at === 0 ? 'total' : '')), ...shown.map((column) => column.of(total))]
  const rows = by.length === 0 ? [titles, sum] : [titles, ...body, sum]
  const widths = titles.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const text = rows.map((row) =>
    row
      .map((cell, at) => (at < by.length ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return [...text, '', ...notes(total)].join('\n')
}

function notes(total: Counts): string[] {
  const { nanodollars, unpriced } = saved(total)
  const said = [`Spent ${dollars(total.nanodollars ?? 0, 0)}, saved ${dollars(nanodollars, 0)}.`]
  const note = (counted: number | undefined, sentence: string): void => {
    if (counted !== undefined && counted > 0) said.push(`${number(counted)} ${sentence}`)
  }
  note(total.unmetered, 'of the executions told no usage, or gave no whole answer: what they cost is not known.')
  note(total.unpriced, 'of them have no price: give the model one under `prices` in the configuration file.')
  note(total.lost, 'more died with their process before they ended: they may have been paid.')
  note(unpriced, 'of what was saved has none: no price is known.')
  return said
}

function unknownPrices({ unmetered = 0, unpriced = 0, lost = 0 }: Counts): number {
  return unmetered + unpriced + lost
}

/** `$12.3456`; from a hundredth of a cent on, as many digits as tell amounts apart. */
function dollars(nanodollars: number, unknown: number): string {
  const text =
    nanodollars === 0 ? '0' : (nanodollars / 1e9).toFixed(nanodollars >= 1e9 ? 2 : nanodollars >= 1e5 ? 4 : 9)
  return `$${text}${unknown === 0 ? '' : ` +${number(unknown)}?`}`
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}
