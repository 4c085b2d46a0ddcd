/** Reads `Content-Type`: type, parameters, and the spelling two equal ones share. */
import { trimmed } from '../core/key.ts'

/** A media type, lower case but for parameter values; `undefined` boundary where there is none that RFC 2046 allows. */
export interface MediaType {
  /** `type/subtype`, or the field as sent where it is no media type. */
  readonly type: string
  readonly charset: string | undefined
  readonly boundary: string | undefined
  /**
   * For comparing: type, then name and value of each parameter, sorted; charset in lower case, and no boundary, which
   * is new on every retry.
   */
  readonly comparable: readonly string[]
}

const parameter = /[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w-]+)))?/y

/** Parses the value of `Content-Type` (RFC 9110 §8.3). What is none is kept as it is and has no parameters. */
export function parseMediaType(field: string): MediaType {
  const value = trimmed(field)
  const semicolon = value.indexOf(';')
  const type = trimmed(semicolon < 0 ? value : value.slice(0, semicolon)).toLowerCase()
  const parameters = semicolon < 0 ? new Map<string, string>() : parametersOf(value, semicolon)
  if (parameters === undefined) return { type: value, charset: undefined, boundary: undefined, comparable: [value] }
  const charset = parameters.get('charset')?.toLowerCase()
  const boundary = parameters.get('boundary')
  if (charset !== undefined) parameters.set('charset', charset)
  parameters.delete('boundary')
  // Both are UTF-8 and define no charset (RFC 8259 §8.1 and §11, WHATWG URL §5), so saying it adds nothing.
  if ((isJson(type) || isForm(type)) && isUtf8(charset)) parameters.delete('charset')
  const rest = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    type,
    charset,
    boundary: boundary !== undefined && isBoundary(boundary) ? boundary : undefined,
    comparable: [type, ...rest.flat()],
  }
}

/** `application/json`, `text/json` and every `+json`. */
export function isJson(type: string): boolean {
  return type === 'application/json' || type === 'text/json' || type.endsWith('+json')
}

/** What a browser's form sends. */
export function isForm(type: string): boolean {
  return type === 'application/x-www-form-urlencoded'
}

/** No charset, or one that says UTF-8. */
export function isUtf8(charset: string | undefined): boolean {
  return charset === undefined || charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii'
}

/** RFC 2046 §5.1.1, and no longer than it allows, which bounds the search. */
function isBoundary(boundary: string): boolean {
  return /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/.test(boundary)
}

/** The parameters by lower-case name, or undefined when the text is malformed or a name comes twice. */
function parametersOf(value: string, from: number): Map<string, string> | undefined {
  const parameters = new Map<string, string>()
  parameter.lastIndex = from
  while (parameter.lastIndex < value.length) {
    const found = parameter.exec(value)
    if (found === null) return undefined
    const [, name, quoted, bare] = found
    if (name === undefined) continue
    const key = name.toLowerCase()
    if (parameters.has(key)) return undefined
    parameters.set(key, quoted === undefined ? (bare as string) : quoted.replace(/\\(.)/g, '$1'))
  }
  return parameters
}
