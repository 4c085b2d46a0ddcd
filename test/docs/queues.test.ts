/** The guide to queues: its sketches of adapters compile, and that of SQS passes the suite over a queue that behaves as SQS does. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Store } from 'oncekey'
import type { Consumer, Handler } from 'oncekey/queue'
import type { queueConformance } from 'oncekey/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { blocks, root, section, table, textOf } from './markdown.ts'
import { openSqs } from './sqs.ts'

const page = textOf('docs/guide/queues.md')
const sketches = blocks(page).filter(({ language }) => language === 'ts')
const names = ['conformance', 'sqs', 'kafka']

/** What the tests need of the compiled sketches and of the very library that these import: errors are told by their class. */
interface Built {
  idempotentConsumer(options: object, handler: Handler<unknown, unknown>): Promise<Consumer>
  readonly queueConformance: typeof queueConformance
  memoryStore(): Store
}

const folder = mkdtempSync(join(root, 'node_modules', '.oncekey-queues-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Compiles all sketches as a user of the workspace would; throws what the compiler says. */
async function build(): Promise<Built> {
  mkdirSync(join(folder, 'src'))
  for (const [at, { text }] of sketches.entries()) writeFileSync(join(folder, 'src', `${names[at]}.ts`), text)
  const built = ["'./sqs.js'", "'oncekey'", "'oncekey/testing'"].map((from) => `export * from ${from}\n`)
  writeFileSync(join(folder, 'src/built.ts'), built.join(''))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: true }
  const places = { rootDir: 'src', outDir: 'out', types: ['node'] }
  const compilerOptions = { ...strict, ...places, target: 'ES2023', module: 'NodeNext' }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  } catch (error) {
    throw new Error((error as { stdout: string }).stdout)
  }
  return import(pathToFileURL(join(folder, 'out/built.js')).href)
}
const built = await build()

test('there is a sketch for each broker that has no adapter, and one of a test file', () => {
  expect(sketches.map(({ text }) => text.split('\n')[0])).toEqual([
    "import { memoryStore } from 'oncekey'",
    '// sqs.ts',
    '// kafka.ts',
  ])
})

test('ten lines protect a BullMQ worker', () => {
  const [block] = blocks(section(page, 'A BullMQ worker in ten lines'))
  expect(block?.text.trimEnd().split('\n')).toHaveLength(10)
})

test('each adapter says where parked messages lie, what an id is, and how long its broker waits', () => {
  for (const heading of [
    ['broker', 'parked', 'delayed'],
    ['broker', 'the id', 'twice in practice'],
    ['broker', 'its patience', 'while the handler runs'],
  ])
    expect(table(page, ...heading).map(([broker]) => broker)).toEqual(['BullMQ', 'NATS', 'RabbitMQ'])
})

describe('the sketch for SQS', () => {
  const open = async () => openSqs(built.idempotentConsumer)
  built.queueConformance({ test: test.concurrent }, { open, store: () => built.memoryStore() })
})
