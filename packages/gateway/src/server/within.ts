/** Whether a path stays inside its upstream, however the server behind it reads dots, slashes and their escapes. */

/** Escapes of escapes; what is wrapped more often has no honest use. */
const maxUnwraps = 4

/**
 * True when no `..` climbs above the path's own root, where an upstream's own prefix (or another service of the same host)
 * would be. Servers differ in what they take for a slash or a dot (`%2f`, `\`, `%2e`, `..;`), so every reading has to hold;
 * a path without climbing is nobody's business and goes on to the byte.
 */
export function staysWithin(path: string): boolean {
  // Nearly every path has neither two dots nor an escaped one.
  if (!path.includes('..') && !/%(?:25)*2e/i.test(path)) return true
  let read = path
  for (let unwraps = 0; ; unwraps++) {
    if (climbs(read)) return false
    const next = read.replace(/%(25|2e|2f|5c|3b)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (next === read) return true
    if (unwraps === maxUnwraps) return false
    read = next
  }
}

/** Does any `..` have nothing before it to take back? An empty segment counts for nothing: some servers merge slashes. */
function climbs(path: string): boolean {
  // A backslash is a slash to some and a letter to others.
  return [/\//, /[/\\]/].some((slash) => {
    let depth = 0
    return path.split(slash).some((segment) => {
      const name = segment.replace(/;.*$/s, '').replace(/%2e/gi, '.')
      if (name === '..') depth -= 1
      else if (name !== '' && name !== '.') depth += 1
      return depth < 0
    })
  })
}
