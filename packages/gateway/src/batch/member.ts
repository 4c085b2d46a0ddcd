/** The text of one member of a JSON object as it was written: numbers and order survive, which a parse would not promise. */

/** The value's text; of several members with this name the last, as `JSON.parse` has it. The object must have been parsed. */
export function memberText(object: string, name: string): string | undefined {
  let found: string | undefined
  let at = skipSpace(object, object.indexOf('{') + 1)
  while (object[at] === '"') {
    const nameEnd = stringEnd(object, at)
    const member: unknown = JSON.parse(object.slice(at, nameEnd))
    const begin = skipSpace(object, skipSpace(object, nameEnd) + 1)
    const end = valueEnd(object, begin)
    if (member === name) found = object.slice(begin, end)
    at = skipSpace(object, end)
    if (object[at] === ',') at = skipSpace(object, at + 1)
  }
  return found
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && ' \t\r\n'.includes(text[at] as string)) at++
  return at
}

/** Behind the closing quote of the string that begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function valueEnd(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; ) {
    const sign = text[at] as string
    if (sign === '"') {
      at = stringEnd(text, at)
      if (depth === 0) return at
      continue
    }
    if (sign === '{' || sign === '[') depth += 1
    else if (depth === 0 && ',}] \t\r\n'.includes(sign)) return at
    else if (sign === '}' || sign === ']') {
      depth -= 1
      if (depth === 0) return at + 1
    }
    at += 1
  }
  return text.length
}
