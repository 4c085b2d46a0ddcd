/** Keys of lines: every pair of batch and name has one of its own, and every one fits into a header. */
import fc from 'fast-check'
import { planOf, policyOf, routeDefaults } from 'oncekey/http'
import { expect, test } from 'vitest'
import { keyOf, resultId } from '../../src/batch/key.ts'

const route = { ...routeDefaults, policy: policyOf({ onAbandoned: 'unknown' }) }
const word = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }),
  fc.string({ unit: fc.constantFrom('/', 'a', ':', '"', '\\', ' ', 'ü', '\ud800'), minLength: 1, maxLength: 4 }),
  fc.constantFrom('sha256:', 'a/b', 'a', 'b', 'line-1', '/a'),
)

test('a plain name is readable in the key', () => {
  expect(keyOf('nightly-7', 'line:1/x')).toBe('nightly-7/line:1/x')
})

test('names that no header could hold are digests', () => {
  for (const [batch, name] of [
    ['nightly', 'a b'],
    ['nightly', 'a"b'],
    ['nightly', 'a,b'],
    ['nightly', 'a;b'],
    ['nightly', 'a\\b'],
    ['nightly', 'ü'],
    ['night/ly', 'a'],
    ['nightly', 'a'.repeat(250)],
  ] as const)
    expect(keyOf(batch, name)).toMatch(/^sha256:[0-9a-f]{64}$/)
})

test('two pairs never share a key', () => {
  fc.assert(
    fc.property(word, word, word, word, (batch, name, otherBatch, otherName) => {
      fc.pre(batch !== otherBatch || name !== otherName)
      expect(keyOf(batch, name)).not.toBe(keyOf(otherBatch, otherName))
    }),
    { numRuns: 2_000 },
  )
})

test('a joined text alone would have them share one: what the property is to see', () => {
  const joined = (batch: string, name: string): string => `${batch}/${name}`
  expect(joined('a/b', 'c')).toBe(joined('a', 'b/c'))
  expect(keyOf('a/b', 'c')).not.toBe(keyOf('a', 'b/c'))
})

test('every key is one that the gateway takes', () => {
  fc.assert(
    fc.property(word, word, (batch, name) => {
      const key = keyOf(batch, name)
      const plan = planOf({ method: 'POST', headers: ['Idempotency-Key', key], query: '' }, route)
      expect(plan).toMatchObject({ kind: 'cover', key })
    }),
  )
})

test('the id of a result is another one in another batch and for another request', () => {
  const [one, two] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]
  expect(resultId('a', one)).toMatch(/^batch_req_[0-9a-f]{32}$/)
  expect(new Set([resultId('a', one), resultId('b', one), resultId('a', two)]).size).toBe(3)
})
