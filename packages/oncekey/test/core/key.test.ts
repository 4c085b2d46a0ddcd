/** Keys: what a header may hold, what the library takes, and that no two names share a record. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IdempotencyError } from '../../src/core/errors.ts'
import { checkKey, exactPart, parseKey, parseKeyFields, recordId, trimmed } from '../../src/core/key.ts'
import { nodeDigest } from '../../src/platform/node.ts'

const pepper = new Uint8Array(32).fill(7)

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof IdempotencyError) return error.code
    throw error
  }
  return 'accepted'
}

describe('the key of a header', () => {
  it.each([
    ['k', 'k'],
    ['"k"', 'k'],
    [' \t"k" \t', 'k'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"a,b;c"', 'a,b;c'],
    ['a\\b', 'a\\b'],
    ['8e03978e-40d5-43e8-bc93-6894a57f9324', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    ['!~', '!~'],
    ['k'.repeat(255), 'k'.repeat(255)],
    [`"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ])('%j is the key %j', (value, key) => {
    expect(parseKey([value])).toBe(key)
  })

  it.each([
    ['', 'key_malformed'],
    ['   ', 'key_malformed'],
    ['""', 'key_malformed'],
    ['"', 'key_malformed'],
    ['"k', 'key_malformed'],
    ['k"', 'key_malformed'],
    ['k;a=1', 'key_malformed'],
    ['"k";a=1', 'key_malformed'],
    ['"k" x', 'key_malformed'],
    ['"a\\b"', 'key_malformed'],
    ['"a\\', 'key_malformed'],
    ['"a\\"', 'key_malformed'],
    ['"a b"', 'key_malformed'],
    ['a b', 'key_malformed'],
    ['a\tb', 'key_malformed'],
    ['"a\u0000b"', 'key_malformed'],
    ['a\u007f', 'key_malformed'],
    ['clé', 'key_malformed'],
    ['"clé"', 'key_malformed'],
    ['k'.repeat(256), 'key_malformed'],
    [`"${'k'.repeat(256)}"`, 'key_malformed'],
    ['a,b', 'key_ambiguous'],
    ['a, a', 'key_ambiguous'],
    ['"a", "b"', 'key_ambiguous'],
  ])('%j is refused as %s', (value, code) => {
    expect(codeOf(() => parseKey([value]))).toBe(code)
  })

  it('is undefined when there is no header', () => {
    expect(parseKey([])).toBeUndefined()
  })

  it('is ambiguous in two field lines, even when they are equal', () => {
    expect(codeOf(() => parseKey(['k', 'k']))).toBe('key_ambiguous')
  })

  it('must be quoted when keys are strict', () => {
    expect(parseKey(['"k"'], { strict: true })).toBe('k')
    expect(codeOf(() => parseKey(['k'], { strict: true }))).toBe('key_malformed')
    expect(codeOf(() => parseKey([''], { strict: true }))).toBe('key_malformed')
  })

  it('survives quoting, whatever visible ASCII it has', () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
      minLength: 1,
      maxLength: 255,
    })
    fc.assert(
      fc.property(visible, (key) => {
        expect(parseKey([`"${key.replace(/["\\]/g, '\\$&')}"`])).toBe(key)
      }),
    )
  })

  it('never fails with anything but the two codes, and never lets through what is not visible ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (value) => {
        const code = codeOf(() => expect(parseKey([value])).toMatch(/^[\x21-\x7e]{1,255}$/))
        expect(['accepted', 'key_malformed', 'key_ambiguous']).toContain(code)
      }),
    )
  })

  it('may be repeated by an alias that agrees, not by one that differs', () => {
    const field = (name: string, ...values: string[]) => ({ name, values })
    expect(parseKeyFields([field('Idempotency-Key'), field('X-Key')])).toBeUndefined()
    expect(parseKeyFields([field('Idempotency-Key', '"k"'), field('X-Key', 'k')])).toBe('k')
    expect(codeOf(() => parseKeyFields([field('Idempotency-Key', 'k'), field('X-Key', 'l')]))).toBe('key_ambiguous')
  })

  it('is trimmed in linear time', () => {
    const hostile = `a${' '.repeat(500_000)}b`
    const start = performance.now()
    expect(trimmed(hostile)).toBe(hostile)
    expect(performance.now() - start).toBeLessThan(200)
  })
})

describe('a key of the library', () => {
  it.each(['order-4711', 'order 4711', 'clé', '😀', 'a"b,c;d', 'k'.repeat(255), 'é'.repeat(127)])('takes %j', (key) => {
    expect(checkKey(key)).toBe(key)
  })

  it.each([
    [undefined, 'key_missing'],
    [null, 'key_missing'],
    ['', 'key_missing'],
    [42, 'key_malformed'],
    ['a\nb', 'key_malformed'],
    ['a\u0085b', 'key_malformed'],
    ['\ud800', 'key_malformed'],
    ['k'.repeat(256), 'key_malformed'],
    ['é'.repeat(128), 'key_malformed'],
    ['😀'.repeat(64), 'key_malformed'],
  ])('refuses %j with %s', (key, code) => {
    expect(codeOf(() => checkKey(key))).toBe(code)
  })

  it('is as long as its UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 120 }), (key) => {
        const fits = Buffer.byteLength(key) <= 255 && !/\p{Cc}/u.test(key)
        expect(codeOf(() => checkKey(key))).toBe(fits ? 'accepted' : 'key_malformed')
      }),
    )
  })
})

describe('the record id', () => {
  const id = (tenant: string, scope: string, key: string) => recordId(nodeDigest, pepper, { tenant, scope, key })

  it('is 32 bytes of base64url that depend on the pepper', () => {
    expect(id('t', 's', 'k')).toMatch(/^[\w-]{43}$/)
    expect(recordId(nodeDigest, new Uint8Array(32), { tenant: 't', scope: 's', key: 'k' })).not.toBe(id('t', 's', 'k'))
  })

  it('I8 isolation: is shared only by equal tenant, scope and key, whatever characters they hold', () => {
    // Few characters, among them separators and halves of surrogate pairs, so that collisions are likely if possible.
    const part = fc.string({
      unit: fc.constantFrom('a', ':', '1', '\u0000', '\ud800', '\udc00', '\ufffd'),
      maxLength: 3,
    })
    const name = fc.tuple(part, part, part)
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(id(...a) === id(...b)).toBe(a.every((value, index) => value === b[index]))
      }),
      { numRuns: 1000 },
    )
  })

  it('gives ill-formed text bytes that no well-formed text has', () => {
    expect(exactPart('a😀')).toBe('a😀')
    expect(Buffer.from(exactPart('a\ud800é')).toString('hex')).toBe('61eda080c3a9')
  })
})
