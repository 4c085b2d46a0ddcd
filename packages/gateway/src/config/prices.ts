/** An operator's own prices as they are written in the file: model → US dollars per million tokens. */
import type { OwnPrice } from '../ledger/index.ts'
import { UsageError } from './usage.ts'

const members: ReadonlySet<string> = new Set(['input', 'output', 'cacheRead', 'cacheWrite'])

/** Throws UsageError for what is no map of models to prices. */
export function ownPrices(value: unknown, origin: string): readonly OwnPrice[] {
  if (value === undefined) return []
  return Object.entries(mapOf(value, origin)).map(([model, written]) => {
    const place = `${origin}, model "${model}",`
    const price = mapOf(written, place)
    const unknown = Object.keys(price).find((name) => !members.has(name))
    if (unknown !== undefined)
      throw new UsageError(`${place} has the unknown key "${unknown}". Known: ${[...members].join(', ')}.`)
    const of = (name: string): number => {
      const dollars = price[name]
      if (typeof dollars === 'number' && dollars >= 0 && Number.isFinite(dollars)) return dollars
      throw new UsageError(`${place} needs ${name}: US dollars per million tokens, such as 2.5.`)
    }
    const cache = (name: 'cacheRead' | 'cacheWrite'): Partial<OwnPrice> =>
      price[name] === undefined ? {} : { [name]: of(name) }
    return { model, input: of('input'), output: of('output'), ...cache('cacheRead'), ...cache('cacheWrite') }
  })
}

function mapOf(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new UsageError(`${place} must be a map such as { my-model: { input: 2, output: 8 } }.`)
}
