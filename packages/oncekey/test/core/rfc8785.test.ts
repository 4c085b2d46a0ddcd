/** The vectors of RFC 8785, where its numbers survive a double. */
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/core/canonical.ts'

describe('RFC 8785', () => {
  it('§3.2.2 primitives', () => {
    const text = String.raw`{
      "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`
    expect(canonicalJson(text)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  it('§3.2.3 names are sorted by UTF-16 code units', () => {
    const text = String.raw`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`
    expect(canonicalJson(text)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}')
  })

  it.each([
    '0',
    '5e-324',
    '-5e-324',
    '1.7976931348623157e+308',
    '9007199254740992',
    '-9007199254740992',
    '295147905179352830000',
    '9.999999999999997e+22',
    '1e+23',
    '1.0000000000000001e+23',
    '999999999999999700000',
    '999999999999999900000',
    '1e+21',
    '9.999999999999997e-7',
    '0.000001',
    '333333333.3333332',
    '333333333.33333325',
    '-0.0000033333333333333333',
    '1424953923781206.2',
  ])('appendix B: %s is its own canonical form', (number) => {
    expect(canonicalJson(number)).toBe(number)
  })
})
