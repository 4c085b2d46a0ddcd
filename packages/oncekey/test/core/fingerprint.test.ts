/** Inputs of library operations: what has a fingerprint, and which inputs share one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fingerprintOf, inputFingerprint } from '../../src/core/fingerprint.ts'
import { canonicalValue } from '../../src/core/input.ts'
import { nodeDigest } from '../../src/platform/node.ts'

const pepper = new Uint8Array(32).fill(7)
const of = (input: unknown) => inputFingerprint(nodeDigest, pepper, input)

describe('the canonical form of a value', () => {
  it('is that of the text JSON.stringify makes of it', () => {
    class Point {
      x = 1
      #hidden = 2
      get sum() {
        return this.x + this.#hidden
      }
    }
    expect(canonicalValue({ b: [1, undefined, 'é'], a: undefined, d: new Date(0), p: new Point(), z: -0 })).toBe(
      '{"b":[1,null,"é"],"d":"1970-01-01T00:00:00.000Z","p":{"x":1},"z":0}',
    )
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalValue(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  const cycle: Record<string, unknown> = { a: {} }
  cycle.a = { b: [cycle] }
  let deep: unknown = 1
  for (let level = 0; level < 100_000; level++) deep = [deep]
  it.each([
    [{ a: { b: [1, 2n] } }, 'input.a.b[1] is a bigint'],
    [{ a: Number.NaN }, 'input.a is NaN'],
    [[Number.POSITIVE_INFINITY], 'input[0] is Infinity'],
    [{ run() {} }, 'input.run is a function'],
    [Symbol('s'), 'input is a symbol'],
    [cycle, 'input.a.b[0] contains itself'],
    [{ m: new Map([[1, 2]]) }, 'input.m is of type Map'],
    [new Set([1]), 'input is of type Set'],
    [new Error('x'), 'input is of type Error'],
    [{ p: Promise.resolve(1) }, 'input.p is of type Promise'],
    [{ file: new Uint8Array(1) }, 'input.file is bytes'],
    [{ file: Buffer.from('a') }, 'input.file is bytes'],
    [new ArrayBuffer(1), 'input is of type ArrayBuffer'],
    [deep, 'is nested deeper than 256 levels'],
  ])('is refused with the place of what JSON cannot hold', (value, sentence) => {
    expect(() => canonicalValue(value)).toThrow(
      expect.objectContaining({ code: 'body_malformed', message: expect.stringContaining(sentence) }),
    )
  })

  it('allows one object in two places', () => {
    const shared = { a: 1 }
    expect(canonicalValue([shared, shared])).toBe('[{"a":1},{"a":1}]')
  })
})

describe('the fingerprint of an input', () => {
  it('is a version and 43 characters', () => {
    expect(of({ a: 1 })).toMatch(/^1[\w-]{43}$/)
  })

  it('does not depend on the order of members', () => {
    expect(of({ a: 1, b: 2 })).toBe(of({ b: 2, a: 1 }))
  })

  it('tells nothing, null, text, bytes and their look-alikes apart', () => {
    const inputs = [
      undefined,
      null,
      'null',
      '',
      {},
      [],
      '{}',
      0,
      '0',
      false,
      Buffer.from('{}'),
      Buffer.from('null'),
      Buffer.alloc(0),
      '\ud800',
      '\ufffd',
      '\udc00',
    ]
    expect(new Set(inputs.map(of)).size).toBe(inputs.length)
  })

  it('depends on the pepper and never equals other digests of the same parts', () => {
    expect(inputFingerprint(nodeDigest, new Uint8Array(32), 1)).not.toBe(of(1))
    expect(fingerprintOf(nodeDigest, pepper, ['input', 'json', '1'])).toBe(of(1))
    expect(`1${nodeDigest.hmac(pepper, ['input', 'json', '1'])}`).not.toBe(of(1))
  })
})
