/** What may be shown of a URL. */

/** Options of a store's URL that hold no secret and tell stores apart. */
const shownOptions = 'schema|prefix|waitReplicas|sslmode'

/**
 * A URL for people: without its password, up to the last @ whatever it holds, and of its query only what is known to be
 * no secret.
 */
export function redacted(url: string): string {
  return url
    .replace(/(:\/\/[^/@:]*):.*@/s, '$1:***@')
    .replace(new RegExp(`([?&](?!(?:${shownOptions})=)[^=&#]*)=[^&#]*`, 'g'), '$1=***')
    .slice(0, 200)
}
