/** Canonical JSON: what falls back, and that no two values ever share a form. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, maxJsonDepth } from '../../src/core/canonical.ts'
import { canonicalValue } from '../../src/core/input.ts'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** Writes a value in one of the many ways JSON allows, chosen by a stream of random numbers. */
function spell(value: Json, pick: () => number): string {
  const space = () => ['', ' ', '\n', '\t', '\r\n  '][pick() % 5] as string
  const escapeOf = (unit: number) => `\\u${unit.toString(16).padStart(4, '0')}`
  // By code points: half a pair escaped and half not would be ill-formed text.
  const character = (point: string) => {
    const usual = JSON.stringify(point).slice(1, -1)
    const escaped = Array.from({ length: point.length }, (_, at) => escapeOf(point.charCodeAt(at))).join('')
    const upper = escaped.toUpperCase().replaceAll('U', 'u')
    return [usual, usual, usual, escaped, upper, point === '/' ? '\\/' : usual][pick() % 6] as string
  }
  const text = (string: string) => `"${Array.from(string, character).join('')}"`
  const number = (given: number) => {
    const usual = JSON.stringify(given)
    const plain = /^-?\d+(\.\d+)?$/.test(usual)
    const zeros = usual.includes('.') ? `${usual}00` : `${usual}.0`
    return [usual, plain ? `${usual}e0` : usual, plain ? zeros : usual, plain ? `${usual}E+00` : usual][
      pick() % 4
    ] as string
  }
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number') return number(value)
  if (Array.isArray(value)) return `[${space()}${value.map((item) => spell(item, pick) + space()).join(`,${space()}`)}]`
  if (value === null || typeof value === 'boolean') return String(value)
  const members = Object.entries(value).map(([name, member]) => ({
    order: pick(),
    text: `${text(name)}${space()}:${space()}${spell(member, pick)}`,
  }))
  members.sort((a, b) => a.order - b.order)
  return `{${space()}${members.map((member) => member.text + space()).join(`,${space()}`)}}`
}

/** RFC 8785 in a few lines of its own. */
function reference(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(reference).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  return `{${Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${reference(value[name] as Json)}`)
    .join(',')}}`
}

const json = fc
  .jsonValue({ stringUnit: 'grapheme', maxDepth: 4 })
  .map((value) => JSON.parse(JSON.stringify(value)) as Json)
const picks = fc.infiniteStream(fc.nat({ max: 1000 })).map((stream) => () => stream.next().value as number)
const bytes = (text: string) => new TextEncoder().encode(text)

describe('canonical JSON', () => {
  it('is the same for every spelling of a value', () => {
    fc.assert(
      fc.property(json, picks, (value, pick) => {
        const spelled = spell(value, pick)
        expect(canonicalJson(spelled)).toBe(reference(value))
        expect(canonicalJson(bytes(spelled))).toBe(reference(value))
      }),
      { numRuns: 2000 },
    )
  })

  it('differs for different values', () => {
    const small = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 2 },
        fc.constantFrom(null, true, false, 0, 1, -1, 0.1, 1e21, '', '0', 'null', '"', '\\', 'a', '\n'),
        fc.array(tie('value'), { maxLength: 2 }),
        fc.dictionary(fc.constantFrom('a', 'b', '', '__proto__', '"', ':'), tie('value'), {
          maxKeys: 2,
          noNullPrototype: true,
        }),
      ) as fc.Arbitrary<Json>,
    })).value
    fc.assert(
      fc.property(small, small, (a, b) => {
        const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
        expect(canonicalJson(left) === canonicalJson(right)).toBe(
          reference(JSON.parse(left)) === reference(JSON.parse(right)),
        )
      }),
      { numRuns: 5000 },
    )
  })

  it('accepts no text that JSON.parse refuses, and keeps the value of what it accepts', () => {
    const noise = fc.constantFrom(...'{}[]",:\\0123456789eE+-. \nutrfalsn\u0000\u00a0\ufeff/dD8')
    const edit = fc.record({ at: fc.nat(), drop: fc.nat({ max: 2 }), insert: fc.string({ unit: noise, maxLength: 2 }) })
    fc.assert(
      fc.property(json, picks, fc.array(edit, { maxLength: 3 }), (value, pick, edits) => {
        let text = spell(value, pick)
        for (const { at, drop, insert } of edits) {
          const place = at % (text.length + 1)
          text = text.slice(0, place) + insert + text.slice(place + drop)
        }
        const canonical = canonicalJson(text)
        let parsed: unknown
        try {
          parsed = JSON.parse(text)
        } catch {
          expect(canonical).toBeUndefined()
          return
        }
        if (canonical !== undefined) {
          expect(JSON.parse(canonical)).toEqual(parsed)
          expect(canonicalJson(canonical)).toBe(canonical)
          expect(canonicalValue(parsed)).toBe(canonical)
        }
      }),
      { numRuns: 5000 },
    )
  })

  it.each([
    ['1', '1.0', '1e0', '10e-1', '0.1E1', '100e-2', '1.000'],
    ['0', '0.0', '0e5', '0e-7', '0.000'],
    ['1e+21', '1000000000000000000000', '1E21', '1000e18', '0.001e24'],
    ['-2.5', '-2.50', '-25e-1'],
    ['9007199254740991', '9007199254740991.0', '9007199254740991e0'],
    ['12345678901234567000', '1.2345678901234567e19'],
  ])('%s is also spelled otherwise', (canonical, ...others) => {
    for (const other of others) expect(canonicalJson(other)).toBe(canonical)
  })

  it.each([
    '9007199254740993',
    '9007199254740993.0',
    '12345678901234567890',
    '-9007199254740993',
    '0.1000000000000000055',
    '333333333.33333329',
    '1e400',
    '-1e400',
    '1e-400',
    '2e-324',
    '-0',
    '-0.0',
    '-0e1',
    '1e99999999999999999999',
    `1${'0'.repeat(100)}`,
    `0.${'0'.repeat(100)}1`,
    '100000000000000000000000000000000000000001',
  ])('the number %s does not survive a double, so there is no form', (number) => {
    expect(canonicalJson(number)).toBeUndefined()
    expect(canonicalJson(`{"a":[${number}]}`)).toBeUndefined()
  })

  it.each([
    '{"a":1,"a":1}',
    '{"a":1,"b":2,"a":3}',
    '{"a":1,"\\u0061":1}',
    '{"b":{"a":1,"a":2}}',
    '{"__proto__":1,"__proto__":1}',
    '{"":1,"":1}',
    `{${Array.from({ length: 40 }, (_, n) => `"k${n}":1`).join(',')},"k7":1}`,
  ])('a duplicate name has no form: %s', (text) => {
    expect(() => JSON.parse(text)).not.toThrow()
    expect(canonicalJson(text)).toBeUndefined()
  })

  it.each([
    String.raw`"\ud800"`,
    String.raw`"\udc00\ud800"`,
    String.raw`"\uD83Dx"`,
    String.raw`{"\udfff":1}`,
    '"\ud800"',
    '"\ud83d\\ude00"',
  ])('a lone surrogate has no form: %j', (text) => {
    expect(canonicalJson(text)).toBeUndefined()
  })

  it('an escaped surrogate pair is the character', () => {
    expect(canonicalJson(String.raw`"\ud83d\uDE00"`)).toBe('"😀"')
  })

  it.each([
    '',
    ' ',
    '{',
    '}',
    '[1,]',
    '{"a":1,}',
    '{,}',
    '[,1]',
    '{"a"}',
    '{"a":}',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '-',
    '1e',
    '1e+',
    '0x1',
    'NaN',
    'Infinity',
    'nul',
    'nulll',
    'true false',
    '1 2',
    '"',
    '"\\',
    '"\\x"',
    '"\\u12"',
    '"\\u12g4"',
    '"a\nb"',
    '"\u0000"',
    '"\u001f"',
    '\ufeff{}',
    '\u00a01',
    '1\u2028',
    '// a\n1',
    '[1',
    '{"a":1',
    '[[]',
    '"a',
    '{"a":1]',
    '[1}',
  ])('%j is not JSON', (text) => {
    expect(() => JSON.parse(text)).toThrow()
    expect(canonicalJson(text)).toBeUndefined()
  })

  it('a byte order mark, invalid UTF-8 and an encoded surrogate have no form', () => {
    expect(canonicalJson(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31))).toBeUndefined()
    expect(canonicalJson(Uint8Array.of(0x22, 0xff, 0x22))).toBeUndefined()
    expect(canonicalJson(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))).toBeUndefined()
    expect(canonicalJson(Uint8Array.of(0x22, 0xc0, 0xa2, 0x22))).toBeUndefined()
  })

  it('keeps long strings, with whatever follows the first 32 characters', () => {
    for (const tail of ['', '\\n', '\\"', '\\\\', '€', '\\u0041', '\\/']) {
      const text = `"${'x'.repeat(40)}${tail}${'y'.repeat(40)}"`
      expect(canonicalJson(text)).toBe(JSON.stringify(JSON.parse(text)))
    }
    expect(canonicalJson(`"${'x'.repeat(40)}\n${'y'.repeat(40)}"`)).toBeUndefined()
    expect(canonicalJson(`"${'x'.repeat(80)}`)).toBeUndefined()
  })

  it('reads to the depth it promises and no deeper, without overflowing the stack', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect(canonicalJson(nested(maxJsonDepth))).toBe(nested(maxJsonDepth))
    expect(canonicalJson(nested(maxJsonDepth + 1))).toBeUndefined()
    expect(canonicalJson('['.repeat(1_000_000))).toBeUndefined()
    expect(canonicalJson('{"a":'.repeat(1_000_000))).toBeUndefined()
  })

  it.each([
    ['a megabyte inside 256 levels', `${'[ '.repeat(256)}"${'x'.repeat(1 << 20)}"${']'.repeat(256)}`],
    [
      '200,000 members in falling order',
      `{${Array.from({ length: 200_000 }, (_, n) => `"k${900_000 - n}":0`).join(',')}}`,
    ],
    [
      'members with a long common beginning',
      `{${Array.from({ length: 1000 }, (_, n) => `"${'p'.repeat(1000)}${999 - n}":0`).join(',')}}`,
    ],
    ['a number of a million digits', '1'.repeat(1 << 20)],
    ['a string of escapes', `"${'\\u0041'.repeat(170_000)}"`],
    ['half a million small items', `[${'1, '.repeat(500_000)}1]`],
  ])('takes time in proportion: %s', (_, text) => {
    const start = performance.now()
    canonicalJson(text)
    expect(performance.now() - start).toBeLessThan(3000)
  })
})
