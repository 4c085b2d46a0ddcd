/** Patterns of what may be written. They are all that an editor knows, so they say as much as a pattern can. */

/** A number and its unit. `leastMs` is 0 for any, 1 for more than nothing, 500 for a lease. */
export function durationPattern(leastMs: number): RegExp {
  const nothing = '\\s*[0.]+[a-z]'
  // Tiny fractions of minutes, hours and days are all that is left for the parser to compare.
  const under500ms = '\\s*0*(?:\\d{1,2}|[1-4]\\d\\d)(?:\\.\\d+)?ms|\\s*0+\\.[0-4]\\d*s'
  const not = [...(leastMs > 0 ? [nothing] : []), ...(leastMs >= 500 ? [under500ms] : [])]
  return new RegExp(`^${not.map((one) => `(?!${one})`).join('')}\\s*\\d+(?:\\.\\d+)?(?:ms|s|m|h|d)\\s*$`)
}

/** A number of bytes, with or without a unit. `leastBytes` is 0 for any, 1 for more than nothing. */
export function sizePattern(leastBytes: number): RegExp {
  const not = leastBytes > 0 ? '(?!\\s*[0.]+(?:[a-zA-Z]|\\s|$))' : ''
  return new RegExp(`^${not}\\s*\\d+(?:\\.\\d+)?(?:[bB]|[kKmMgG][bB])?\\s*$`)
}

/** The digits of a whole number between two others. */
export function digitsBetween(least: number, most: number): RegExp {
  const tooLittle = least === 0 ? '' : `(?!\\s*${digitsUpTo(least - 1)}\\s*$)`
  return new RegExp(`^${tooLittle}\\s*${digitsUpTo(most)}\\s*$`)
}

/** 256 is: fewer digits, or a smaller first one, or 2 and a smaller second one, …, or 256 itself. */
function digitsUpTo(most: number): string {
  const digits = String(most)
  const smaller = [...digits].flatMap((digit, at) =>
    digit === '0' ? [] : [`${digits.slice(0, at)}[0-${Number(digit) - 1}]\\d{${digits.length - at - 1}}`],
  )
  const fewer = digits.length > 1 ? [`\\d{1,${digits.length - 1}}`] : []
  return `0*(?:${[...fewer, ...smaller, digits].join('|')})`
}

/** A path that `ignoredPaths` of the library reads; or several, joined by commas. */
export function jsonPathPattern(joined: boolean): RegExp {
  const name = joined ? '[^.,[\\]\'"]+' : '[^.[\\]\'"]+'
  const index = '\\[(?:\\*|\\d+)\\]'
  const path = `(?!\\$\\s*(?:,|$))(?:\\$\\.?)?(?:\\.?${name}|${index})(?:\\.${name}|${index})*`
  return new RegExp(joined ? `^\\s*${path}(?:\\s*,\\s*${path})*\\s*$` : `^${path}$`)
}
