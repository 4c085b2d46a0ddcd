/** Every example runs to its end and prints what it is there to show. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { below, root } from './markdown.ts'

let folder = ''
let place = ''
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'oncekey-examples-'))
  folder = mkdtempSync(join(root, 'node_modules', '.oncekey-examples-'))
})
afterAll(() => {
  for (const made of [folder, place]) rmSync(made, { recursive: true, force: true })
})

function run(file: string, ...args: string[]): { code: number | null; printed: string; complained: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, file), ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { code: status, printed: stdout, complained: stderr }
}

describe('examples', () => {
  test('are these, each with a test', () => {
    // Folders have tests of their own: test/docs/policies.test.ts, test/docs/servers.test.ts, test/pipeline.
    const own = below('examples', '.mjs').filter(
      (path) => !/^examples\/(policies|document-pipeline|servers)\//.test(path),
    )
    expect(own.sort()).toEqual([
      // Those of the queues run where their brokers do: packages/oncekey/test/queue.
      'examples/bullmq.mjs',
      'examples/client.mjs',
      'examples/gateway.mjs',
      'examples/library.mjs',
      'examples/nats.mjs',
      'examples/rabbitmq.mjs',
      'examples/resolve.mjs',
    ])
  })
  test('library.mjs executes once and replays', () => {
    const value = 'answer 1 to "Summarise the contract in three sentences." (fence true)'
    expect(run('examples/library.mjs')).toEqual({
      code: 0,
      printed: `executed: ${value}\nreplayed: ${value}\nthe model was called once\n`,
      complained: '',
    })
  })
  test('gateway.mjs starts the gateway, is billed once, and stops it cleanly', () => {
    expect(run('examples/gateway.mjs')).toEqual({
      code: 0,
      printed: [
        '200 executed: call 1 of the provider',
        '200 replayed: call 1 of the provider',
        'the provider was called once',
        'the gateway stopped with 0',
        '',
      ].join('\n'),
      complained: '',
    })
  })
  test('client.mjs finds its key after a restart, and the provider is called once', () => {
    expect(run('examples/client.mjs')).toEqual({
      code: 0,
      printed: [
        'first run: executed, call 1 of the provider',
        'second run: replayed, call 1 of the provider',
        'the provider was called once',
        '',
      ].join('\n'),
      complained: '',
    })
  })
  test('resolve.mjs shows an unknown record, releases it once, and leaves every other alone', () => {
    const store = join(place, 'store')
    const made = spawnSync(process.execPath, [unknownRecord(store)], { encoding: 'utf8' })
    expect(made.stderr).toBe('')
    const id = made.stdout.trim()
    expect(run('examples/resolve.mjs', store, id).printed).toMatch(/^unknown, attempt 1, began \d{4}-\S+Z\n$/)
    const released = run('examples/resolve.mjs', store, id, 'release')
    expect(released).toMatchObject({ code: 0, complained: '' })
    expect(released.printed).toMatch(/^unknown, .*\nrecorded\n$/)
    expect(run('examples/resolve.mjs', store, id, 'release').printed).toMatch(/^released, attempt 1, began \S+\n$/)
    expect(run('examples/resolve.mjs', store, 'nobody').printed).toBe('absent: this key would execute as new\n')
    expect(run('examples/resolve.mjs').code).toBe(2)
  })
})

/** A program that leaves an unknown record in a store and prints its id. */
function unknownRecord(store: string): string {
  const path = join(folder, 'unknown.mjs')
  writeFileSync(
    path,
    `import { createIdempotency, IdempotencyError } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'
const store = lmdbStore(${JSON.stringify(store)})
const once = createIdempotency({ store, onAbandoned: 'unknown' })
await once.run({ key: 'k' }, async (attempt) => {
  console.log(attempt.recordId)
  throw new IdempotencyError('outcome_unknown', 'The provider does not know.')
}).catch(() => {})
await once.close()
await store.close()
`,
  )
  return path
}
