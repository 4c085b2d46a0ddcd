/** Every sentence of the promise has a test, by name, that exists. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { guaranteed, titlePattern } from '../../scripts/guarantee.mjs'
import { root, table, textOf } from './markdown.ts'

describe('docs/guarantee.md', () => {
  test('has a test for each sentence', () => {
    const rows = table(textOf('docs/guarantee.md'), 'promise', 'file', 'test')
    expect(rows.length).toBeGreaterThan(10)
    expect(guaranteed()).toHaveLength(rows.length)
  })

  for (const { sentence, file, title } of guaranteed()) {
    test(`${sentence}: its test exists`, () => {
      expect(existsSync(join(root, file)), file).toBe(true)
      const tests = textOf(file).split('\n')
      expect(
        tests.some((line) => /['`]/.test(line) && titlePattern(title).test(line)),
        `${file}: ${title}`,
      ).toBe(true)
    })
  }

  test('is what the README promises', () => {
    const sentences = guaranteed()
      .map(({ sentence }) => sentence)
      .join(' ')
    for (const word of ['at most once', 'Under `reexecute`', 'Under `unknown`']) expect(sentences).toContain(word)
    expect(textOf('README.md')).toContain('docs/guarantee.md')
  })
})
