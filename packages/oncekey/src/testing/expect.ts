/** The few comparisons the conformance suite needs, so that it runs under any test runner. */

/** Throws unless both are the same, bytes and objects compared by what is in them. */
export function same(actual: unknown, expected: unknown, what: string): void {
  const [was, should] = [text(actual), text(expected)]
  if (was !== should) throw new Error(`${what}: expected ${should}, got ${was}`)
}

/** Throws unless it holds. */
export function holds(condition: boolean, sentence: string): void {
  if (!condition) throw new Error(`it does not hold that ${sentence}`)
}

/** The answer as the kind it must have. */
export function kind<Answer extends { readonly kind: string }, Kind extends Answer['kind']>(
  answer: Answer | undefined,
  expected: Kind,
  what: string,
): Extract<Answer, { readonly kind: Kind }> {
  if (answer?.kind !== expected) throw new Error(`${what}: expected ${expected}, got ${text(answer)}`)
  return answer as Extract<Answer, { readonly kind: Kind }>
}

/** Rejections are answers too: what a call was rejected with, or an Error that says it was not. */
export async function rejected(call: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error(`${what}: expected a rejection`)
}

/** JSON with sorted members, in which bytes are their length and a sum. */
function text(value: unknown): string {
  return JSON.stringify(plain(value))
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.length} bytes, sum ${sum(value)}`
  if (value === undefined) return 'undefined'
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(plain)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const sorted = members.sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([name, member]) => [name, plain(member)]))
}

function sum(bytes: Uint8Array): number {
  let value = 2166136261
  for (const byte of bytes) value = Math.imul(value ^ byte, 16777619) >>> 0
  return value
}
