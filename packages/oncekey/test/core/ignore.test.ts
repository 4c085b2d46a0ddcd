/** Ignored paths: what stays out of a canonical form, in texts and in values. */
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../src/core/canonical.ts'
import { canonicalValue } from '../../src/core/input.ts'

describe('ignored paths', () => {
  const text = '{"a":{"b":1,"c":2},"list":[{"id":1,"v":1},{"id":2,"v":2}],"n":12345678901234567890}'
  it.each([
    [['n'], '{"a":{"b":1,"c":2},"list":[{"id":1,"v":1},{"id":2,"v":2}]}'],
    [['n', 'a.b'], '{"a":{"c":2},"list":[{"id":1,"v":1},{"id":2,"v":2}]}'],
    [['$.n', '$.list[*].id'], '{"a":{"b":1,"c":2},"list":[{"v":1},{"v":2}]}'],
    [['n', 'list.*.id', 'list[1].v'], '{"a":{"b":1,"c":2},"list":[{"v":1},{}]}'],
    [['n', 'list.*', 'a'], '{"list":[]}'],
    [['n', '*.b'], '{"a":{"c":2},"list":[{"id":1,"v":1},{"id":2,"v":2}]}'],
    [['*'], '{}'],
  ])('%j leaves %s', (ignore, left) => {
    expect(canonicalJson(text, { ignore })).toBe(left)
  })

  it('an ignored member may lose information, but must be JSON', () => {
    const ignore = ['a']
    expect(canonicalJson('{"a":{"x":1,"x":-0,"y":"\\ud800"},"b":1}', { ignore })).toBe('{"b":1}')
    expect(canonicalJson('{"a":1,"a":2,"b":1}', { ignore })).toBe('{"b":1}')
    expect(canonicalJson('{"a":01,"b":1}', { ignore })).toBeUndefined()
  })

  it.each([[''], ['$'], ['a..b'], ['a['], ["$['a']"], ['a.']])('%j is refused when it is compiled', (path) => {
    expect(() => canonicalJson('{}', { ignore: [path] })).toThrow(/cannot be read/)
  })

  it('are the same for values in memory', () => {
    const ignore = ['list[*].id', 'n']
    expect(canonicalValue(JSON.parse(text), { ignore })).toBe(canonicalJson(text, { ignore }))
  })
})
