/** The page on limits against the code, both ways. */
import { expect, test } from 'vitest'
import { processLimits } from '../../packages/gateway/src/server/limits.ts'
import { table, textOf } from './markdown.ts'

test('limits.md lists every limit of a process with its value, and no other', () => {
  const rows = table(textOf('docs/reference/limits.md'), 'limit', 'value', 'beyond it')
  const listed = rows.map(([name = '', value = '']) => [name.replaceAll('`', ''), Number.parseInt(value, 10)])
  expect(Object.fromEntries(listed)).toEqual(processLimits)
  expect(listed).toHaveLength(Object.keys(processLimits).length)
})
