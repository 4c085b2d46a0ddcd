/** headers.md against the header names in the code of the HTTP contract and of the gateway, both ways. */
import { describe, expect, test } from 'vitest'
import { fieldNames } from '../../packages/oncekey/src/http/headers.ts'
import { below, quoted, section, table, textOf } from './markdown.ts'

const page = textOf('docs/reference/headers.md')
const headersSource = textOf('packages/oncekey/src/http/headers.ts')
const sources = [
  ...below('packages/oncekey/src/http', '.ts'),
  ...below('packages/gateway/src/server', '.ts'),
  ...below('packages/gateway/src/forward', '.ts'),
].map((path) => textOf(path).replace(/^\s*(?:\/\/|\*|\/\*\*).*$/gm, ''))

/** Every match of the first group, over all sources. */
function found(pattern: RegExp, texts: readonly string[] = sources): string[] {
  return texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => name))
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.toLowerCase()))].sort()
}

/** The quoted names of a set in headers.ts. */
function setOf(name: string): string[] {
  const body = new RegExp(`const ${name} = new Set\\(\\[([\\s\\S]*?)\\]\\)`).exec(headersSource)?.[1] ?? ''
  return found(/'([\w-]+)'/g, [body])
}

describe('sent with answers', () => {
  const listed = table(section(page, 'Sent with answers'), 'header', 'when', 'meaning').map(
    ([cell = '']) => quoted(cell)[0] ?? '',
  )
  const sent = [
    // What the code spells as it is sent: a name with capitals and hyphens, or one of the few without a hyphen.
    ...found(/'((?:[A-Z][A-Za-z]*-)+[A-Z][A-Za-z]*|Link|Connection)'/g),
    ...found(/\\r\\n([A-Z][\w-]*): /g),
  ]

  test('names what the code sends, and nothing else', () => {
    expect(sent.length).toBeGreaterThan(10)
    expect(unique(listed)).toEqual(unique(sent))
  })
  test('names every field of the contract, spelled as it is sent', () => {
    expect(listed).toEqual(expect.arrayContaining(Object.values(fieldNames)))
  })
  test('explains every status', () => {
    const union = /export type AnswerStatus = (.*)$/m.exec(textOf('packages/oncekey/src/http/respond.ts'))?.[1] ?? ''
    const statuses = table(page, '`Idempotency-Status`', 'meaning').map(([cell = '']) => quoted(cell)[0])
    expect(statuses.sort()).toEqual(found(/'(\w+)'/g, [union]).sort())
    expect(statuses.length).toBeGreaterThan(5)
  })
})

describe('read', () => {
  const requests = table(section(page, 'Read from requests'), 'header', 'meaning').map(
    ([cell = '']) => quoted(cell)[0] ?? '',
  )
  const answers = quoted(section(page, 'Read from upstream answers'))
  const lists = ['packages/oncekey/src/http/tenant.ts', 'packages/oncekey/src/http/fingerprint.ts'].map(textOf)
  const listed = lists.flatMap((text) =>
    found(/'([\w-]+)'/g, found(/const (?:credential|behaviour)Headers[^=]*= \[([\s\S]*?)\]/g, [text])),
  )
  const read = [
    fieldNames.key,
    ...listed,
    ...found(/fieldValues?\([\w.]+(?:\([^)]*\))?, '([\w-]+)'\)/g),
    ...found(/\bheader\('([\w-]+)'\)/g, [...sources, textOf('packages/oncekey/src/core/outcome.ts')]),
    ...found(/\bheaders\['([\w-]+)'\]/g),
    // Node's parsed headers without a hyphen in the name.
    ...found(/\bheaders\.(accept|authorization|expect|host|range|te|trailer|upgrade)\b/g),
  ]

  test('the lists of credentials and of behaviour are found', () => expect(listed.length).toBe(10))
  test('names everything that the code reads', () => {
    const known = unique([...requests, ...answers])
    expect(unique(read).filter((name) => !known.includes(name))).toEqual([])
  })
  test('names nothing that the code does not read', () => {
    expect(unique([...requests, ...answers]).filter((name) => !unique(read).includes(name))).toEqual([])
  })
})

describe('kept', () => {
  test('names the headers that are replayed', () => {
    const rows = table(page, 'header of the upstream', '').flatMap(([cell = '']) => quoted(cell))
    const exact = rows.filter((name) => /^[\w-]+$/.test(name) && name !== 'replayHeaders')
    expect(unique(exact)).toEqual(unique(setOf('replayed')))
    const prefixes = rows.filter((name) => /\w-\*$/.test(name)).map((name) => name.slice(0, -2))
    expect(unique(prefixes)).toEqual(['anthropic', 'openai', 'x-goog'])
    expect(headersSource).toContain('/^(?:openai|anthropic|x-goog)-./')
  })
  test('names the headers that never are', () => {
    const names = quoted(section(page, 'Never replayed')).filter((name) => !name.endsWith('*'))
    expect(unique(names)).toEqual(unique(setOf('neverReplayed')))
  })
  test('names the headers of one connection', () => {
    const names = quoted(section(page, 'Not forwarded'))
    const wanted = [...setOf('hopByHop'), 'host', 'expect', 'proxy-*', fieldNames.key]
    expect(unique(names)).toEqual(unique(wanted))
  })
})
