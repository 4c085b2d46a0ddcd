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

/** Bytes by their length and a sum, everything else as JSON with sorted members. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (member instanceof Uint8Array) return `${member.length} bytes ${sum(member)}`
    if (member === undefined) return '(undefined)'
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    const entries = Object.entries(member).filter(([, inner]) => inner !== undefined)
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function sum(bytes: Uint8Array): number {
  let value = 2166136261
  for (const byte of bytes) value = Math.imul(value ^ byte, 16777619) >>> 0
  return value
}
