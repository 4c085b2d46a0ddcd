/** Reads `name=value&name=value`, in a query or in a form, without ever throwing. */

/** One pair, still encoded. `value` is undefined when there is no equals sign. */
export interface Pair {
  readonly name: string
  readonly value: string | undefined
  /** The pair as it was sent. */
  readonly sent: string
}

/** The pairs in order; empty ones are skipped. The text comes without a question mark in front. */
export function queryPairs(query: string): Pair[] {
  const pairs: Pair[] = []
  for (const sent of query.split('&')) {
    if (sent === '') continue
    const equals = sent.indexOf('=')
    pairs.push(
      equals < 0
        ? { name: sent, value: undefined, sent }
        : { name: sent.slice(0, equals), value: sent.slice(equals + 1), sent },
    )
  }
  return pairs
}

/** Undoes `+` and percent-encoding; undefined where that is not UTF-8, so that nothing collapses into U+FFFD. */
export function decodedText(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
