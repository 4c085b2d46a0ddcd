/** The table of clients lists the suites that exist, with their kinds of calls and who asks again. */
import { describe, expect, test } from 'vitest'
import { below, table, textOf } from './markdown.ts'

interface Listed {
  readonly name: string
  readonly kinds: string
  readonly afterTimeout: string
  readonly afterBreak: string
}

/** What the suites say of themselves. */
function suites(): Listed[] {
  return below('test/e2e', '.test.ts')
    .map((file) => textOf(file))
    .filter((text) => text.includes('clientSuite({'))
    .map((text) => {
      const member = (name: string, pattern: string): string =>
        new RegExp(`^ {2}${name}: ${pattern},$`, 'm').exec(text)?.[1] ?? `no ${name}`
      return {
        name: member('name', "'(.+)'"),
        kinds: member('kinds', '\\[(.+)\\]').replaceAll("'", ''),
        afterTimeout: member('afterTimeout', "'(.+)'"),
        afterBreak: member('afterBreak', "'(.+)'"),
      }
    })
}

describe('docs/guide/clients.md', () => {
  test('lists the clients that are tested, and no others', () => {
    const heading = ['client', 'calls', 'after its own time-out, who asks again', 'after a connection that broke']
    const rows = table(textOf('docs/guide/clients.md'), ...heading).map(
      ([name = '', kinds = '', afterTimeout = '', afterBreak = '']): Listed => ({
        name,
        kinds,
        afterTimeout,
        afterBreak,
      }),
    )
    const byName = (a: Listed, b: Listed): number => a.name.localeCompare(b.name)
    expect(rows.length).toBeGreaterThan(4)
    expect(rows.sort(byName)).toEqual(suites().sort(byName))
  })
})
