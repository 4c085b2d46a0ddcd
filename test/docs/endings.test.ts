/** endings.md against the classes and fates that the code gives, for every status and policy. */
import { describe, expect, test } from 'vitest'
import { classOf, type EndingClass, fateOf } from '../../packages/oncekey/src/core/outcome.ts'
import type { OnAbandoned } from '../../packages/oncekey/src/core/record.ts'
import { table, textOf } from './markdown.ts'

const page = textOf('docs/reference/endings.md')

function classOfAnswer(status: number, headers: Readonly<Record<string, string>> = {}, complete = true): EndingClass {
  return classOf({ kind: 'response', status, header: (name) => headers[name], complete }).class
}

describe('endings.md', () => {
  const rows = table(page, 'the upstream', 'class')
  const listed = rows.map(([cell = '']) => cell).find((cell) => /^\d{3}(?:, \d{3})+$/.test(cell)) ?? ''
  const notExecuted = listed.split(', ').map(Number)

  test('names the statuses by which nothing was executed, and no others', () => {
    const found: number[] = []
    for (let status = 200; status < 600; status++) if (classOfAnswer(status) === 'not_executed') found.push(status)
    expect(notExecuted).toEqual(found)
  })
  test('is right about all other statuses', () => {
    for (let status = 200; status < 600; status++) {
      if (notExecuted.includes(status)) continue
      expect([status, classOfAnswer(status)]).toEqual([status, status < 500 ? 'final' : 'indeterminate'])
      expect([status, classOfAnswer(status, {}, false)]).toEqual([status, 'indeterminate'])
    }
  })
  test('is right about hints, failures and thrown errors', () => {
    expect(classOfAnswer(500, { 'x-should-retry': 'true' })).toBe('not_executed')
    expect(classOfAnswer(409, { 'retry-after': '1' })).toBe('not_executed')
    expect(classOfAnswer(409)).toBe('final')
    expect(classOf({ kind: 'failed', sent: false, cause: undefined }).class).toBe('not_executed')
    expect(classOf({ kind: 'failed', sent: true, cause: undefined }).class).toBe('indeterminate')
    expect(classOf({ kind: 'threw', error: new Error('x'), dispatched: false }).class).toBe('not_executed')
    expect(classOf({ kind: 'threw', error: new Error('x'), dispatched: true }).class).toBe('indeterminate')
  })
  test('says what becomes of the record, for each class and policy', () => {
    const policies: readonly OnAbandoned[] = ['unknown', 'reexecute', 'reconcile', 'resume']
    const fates = table(page, 'class', '`unknown`', '`reexecute`', '`reconcile`', '`resume`').slice(0, 3)
    expect(fates.map(([name]) => name)).toEqual(['final', 'not executed', 'indeterminate'])
    for (const [name = '', ...said] of fates) {
      for (const [at, policy] of policies.entries()) {
        const fate = fateOf(name.replace(' ', '_') as EndingClass, policy)
        const words = fate === 'lapse' ? 'left running' : fate
        expect([name, policy, said[at]?.startsWith(words)]).toEqual([name, policy, true])
      }
    }
  })
})
