/** The table of docs/guide/clients.md against the clients that the end-to-end tests run, and those against their files. */
import { describe, expect, test } from 'vitest'
import { roster, type Traits } from '../e2e/roster.ts'
import { below, table, textOf } from './markdown.ts'

const clients: readonly (readonly [string, Traits])[] = Object.entries(roster)
const manifest = JSON.parse(textOf('package.json')) as { devDependencies: Record<string, string> }

/** The pinned version of a package; an alias has it behind its last `@`. */
function versionOf(name: string): string {
  const version = manifest.devDependencies[name]
  if (version === undefined) throw new Error(`${name} is no dependency of the tests`)
  return version.slice(version.lastIndexOf('@') + 1)
}

/** What the table has to say of a client. The suite has proved it: it fails where a trait is not so. */
function rowOf(client: Traits): string[] {
  const who = { client: 'it', caller: 'you' }
  return [
    client.name,
    client.packages.map(versionOf).join(', ') || 'the one installed',
    client.kinds.map((kind) => `\`${kind}\``).join(' '),
    who[client.afterTimeout],
    who[client.afterBreak],
    client.declaresRetries ? 'yes' : 'no',
    client.retriesRefusals ? 'asks again' : 'raises',
  ]
}

describe('docs/guide/clients.md', () => {
  const page = textOf('docs/guide/clients.md')

  test('its table says of each client what its tests prove', () => {
    const heading = [
      'client',
      'version',
      'calls',
      'after a timeout',
      'after a break',
      'known without a key',
      'at a 422',
    ]
    expect(table(page, ...heading)).toEqual(clients.map(([, client]) => rowOf(client)))
  })

  test.each(clients)('%s runs in its file, and nothing else runs there', (key, { file }) => {
    const runs = [...textOf(`test/e2e/${file}`).matchAll(/clientSuite\(roster\.(\w+)/g)].map(([, name]) => name)
    expect(runs).toEqual([key])
  })

  test('no other file runs the suite', () => {
    const files = below('test/e2e', '.test.ts').filter((path) => textOf(path).includes('clientSuite('))
    expect(files.sort()).toEqual(clients.map(([, { file }]) => `test/e2e/${file}`).sort())
  })

  test('explains every kind of call it names', () => {
    const explained = table(page, 'call', 'what').flatMap(([cell = '']) => cell.replaceAll('`', '').split(', '))
    expect(explained.sort()).toEqual([...new Set(clients.flatMap(([, { kinds }]) => kinds))].sort())
  })
})
