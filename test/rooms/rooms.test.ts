/** The gate itself: each room rule and lint that we rely on refuses a planted violation, and lets its control pass. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lint, root } from './biome.ts'

const use = (path: string): string => `import { it } from '${path}'\nexport const used = it\n`
const useType = (path: string): string => `import type { It } from '${path}'\nexport type Used = It\n`
const passOn = (path: string): string => `export { it } from '${path}'\n`
const passOnType = (path: string): string => `export type { It } from '${path}'\n`
const dynamic = (path: string): string => `export const it = import('${path}')\n`
const inline = (path: string): string => `export type It = import('${path}').It\n`

/** One room: what it must never import, and, as the control, what it may. ARCHITECTURE.md has the table in words. */
interface Room {
  readonly refuses: readonly string[]
  readonly allows: readonly string[]
}

/** Every room of the gateway but `cli`: by index.ts into another room, and no store by name. */
const gatewayRoom: Room = {
  refuses: [
    use('../other/inside.ts'),
    useType('../other/inside.ts'),
    use('../other/deeper/index.ts'),
    use('./../other/inside.ts'),
    use('../cli/main.ts'),
    use('oncekey'),
    use('oncekey/lmdb'),
    dynamic('oncekey/lmdb'),
    inline('oncekey/lmdb'),
    use('lmdb'),
    use('oncekey/redis'),
    useType('oncekey/postgres'),
    use('ioredis'),
    useType('pg'),
    use('@oncekey/gateway/sandbox'),
    use('../../../oncekey/src/http.ts'),
  ],
  allows: [use('./inside.ts'), use('../other/index.ts'), use('oncekey/http'), use('node:http'), use('undici')],
}

const rooms: Readonly<Record<string, Room>> = {
  'packages/oncekey/src': {
    refuses: [use('node:fs'), use('undici'), use('../../gateway/src/forward/index.ts'), use('./core/../http.ts')],
    allows: [passOn('./core/policy.ts'), passOnType('./stores/memory.ts')],
  },
  'packages/oncekey/src/core': {
    refuses: [
      use('node:fs'),
      use('fs'),
      use('undici'),
      use('../index.ts'),
      use('../platform/node.ts'),
      use('../stores/memory.ts'),
      useType('../stores/memory.ts'),
      passOn('../http/pump.ts'),
      passOnType('../http/pump.ts'),
      dynamic('../http/pump.ts'),
      inline('../http/pump.ts'),
      use('./../http/pump.ts'),
      "import '../http/pump.ts'\n",
    ],
    allows: [use('./policy.ts'), useType('./policy.ts'), passOn('./policy.ts')],
  },
  'packages/oncekey/src/platform': {
    refuses: [use('../http/pump.ts'), useType('../stores/memory.ts'), use('../core/../http/pump.ts'), use('undici')],
    allows: [use('node:crypto'), use('node:timers/promises'), use('../core/policy.ts'), use('./node.ts')],
  },
  'packages/oncekey/src/stores': {
    refuses: [
      use('../http/pump.ts'),
      useType('../http/pump.ts'),
      use('./lmdb/index.ts'),
      use('lmdb'),
      use('../core/../http/pump.ts'),
    ],
    allows: [use('../core/store.ts'), useType('../core/store.ts'), use('node:fs')],
  },
  // A store that does not exist yet: what every folder of stores/ obeys before its driver is named in biome.json.
  'packages/oncekey/src/stores/next': {
    refuses: [use('../lmdb/index.ts'), use('../../http/pump.ts'), use('lmdb'), use('./../lmdb/index.ts')],
    allows: [use('./inside.ts'), use('../../core/store.ts'), use('node:fs')],
  },
  'packages/oncekey/src/stores/lmdb': {
    refuses: [use('../../http/pump.ts'), use('../memory.ts'), use('../../core/../http/pump.ts'), use('ioredis')],
    allows: [use('./environment.ts'), use('../../core/store.ts'), use('lmdb'), use('node:fs')],
  },
  'packages/oncekey/src/steps': {
    refuses: [
      use('../http/pump.ts'),
      useType('../stores/memory.ts'),
      use('node:fs'),
      use('../platform/node.ts'),
      use('./../http/pump.ts'),
    ],
    allows: [use('./entry.ts'), use('../core/step.ts')],
  },
  'packages/oncekey/src/observe': {
    refuses: [
      use('../core/engine.ts'),
      useType('../http/headers.ts'),
      use('node:fs'),
      use('@opentelemetry/sdk-metrics'),
      use('./../stores/memory.ts'),
    ],
    allows: [use('./traceparent.ts'), useType('../core/events.ts'), use('@opentelemetry/api')],
  },
  'packages/oncekey/src/providers': {
    refuses: [
      use('../http/pump.ts'),
      useType('../http/headers.ts'),
      use('../stores/memory.ts'),
      use('openai'),
      use('./../http/pump.ts'),
    ],
    allows: [use('./sse.ts'), use('../core/policy.ts')],
  },
  'packages/oncekey/src/http': {
    refuses: [
      use('../stores/memory.ts'),
      useType('../stores/memory.ts'),
      use('node:http'),
      use('../platform/node.ts'),
      use('../core/../stores/memory.ts'),
    ],
    allows: [use('./pump.ts'), use('../core/policy.ts'), use('../providers/index.ts')],
  },
  'packages/oncekey/src/client': {
    refuses: [
      use('node:crypto'),
      use('../http/pump.ts'),
      useType('../http/exchange.ts'),
      use('../stores/memory.ts'),
      use('../platform/node.ts'),
      use('openai'),
      use('./../http/pump.ts'),
    ],
    allows: [use('./retry.ts'), use('../core/clock.ts'), use('../http/headers.ts'), use('../providers/index.ts')],
  },
  'packages/oncekey/src/queue': {
    refuses: [
      use('../stores/memory.ts'),
      useType('../http/exchange.ts'),
      use('../platform/idempotency.ts'),
      use('node:timers'),
      use('bullmq'),
      useType('amqplib'),
      inline('@nats-io/jetstream'),
      use('./../stores/memory.ts'),
    ],
    allows: [use('./broker.ts'), use('../core/errors.ts'), useType('../core/run.ts')],
  },
  'packages/oncekey/src/testing': {
    refuses: [
      use('../queue/bullmq.ts'),
      useType('../queue/consumer.ts'),
      use('../stores/memory.ts'),
      useType('../stores/memory.ts'),
      use('../http/pump.ts'),
      use('./../http/pump.ts'),
    ],
    allows: [use('./clock.ts'), use('../core/store.ts'), use('../http/exchange.ts'), useType('../queue/broker.ts')],
  },
  'packages/gateway/src/batch': gatewayRoom,
  'packages/gateway/src/server': gatewayRoom,
  'packages/gateway/src/forward': gatewayRoom,
  'packages/gateway/src/sandbox': gatewayRoom,
  'packages/gateway/src/config': gatewayRoom,
  'packages/gateway/src/demo': gatewayRoom,
  'packages/gateway/src/operate': gatewayRoom,
  'packages/gateway/src/ledger': gatewayRoom,
  'packages/gateway/src/admin': gatewayRoom,
  'packages/gateway/src/cli': {
    refuses: [
      use('../server/gateway.ts'),
      useType('../server/gateway.ts'),
      use('./../server/gateway.ts'),
      use('oncekey/dist/http.js'),
      use('@oncekey/gateway'),
    ],
    allows: [use('./help.ts'), use('../server/index.ts'), use('oncekey'), use('oncekey/lmdb'), use('pino')],
  },
}

const lines = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('\n')
const pushes = (count: number): string =>
  `export function push(calls: number[]): void {\n${lines(count, (at) => `  calls.push(${at})`)}\n}\n`
const work = 'async function work(): Promise<void> {}\n'

/** Lints that we rely on: what each refuses, and the nearest thing that it lets pass. */
const lints: Readonly<Record<string, readonly [refused: string, control: string]>> = {
  noExplicitAny: ['export const x: any = 1\n', 'export const x: unknown = 1\n'],
  noEnum: ['export enum Colour { red }\n', "export type Colour = 'red'\n"],
  noNamespace: ['export namespace Colours {\n  export const red = 1\n}\n', 'export const colours = { red: 1 }\n'],
  noCommonJs: ["export const x = require('./policy.ts')\n", "export * from './policy.ts'\n"],
  noNonNullAssertion: [
    'export const first = (of: number[]): number => of[0]!\n',
    'export const first = (of: number[]): number => of[0] ?? 0\n',
  ],
  useImportType: ["import { It } from './policy.ts'\nexport type Used = It\n", useType('./policy.ts')],
  noFloatingPromises: [
    `${work}export function start(): void {\n  work()\n}\n`,
    `${work}export async function start(): Promise<void> {\n  await work()\n}\n`,
  ],
  noExcessiveLinesPerFunction: [pushes(80), pushes(60)],
  noExcessiveLinesPerFile: [
    lines(301, (at) => `export const n${at} = ${at}`),
    lines(300, (at) => `export const n${at} = ${at}`),
  ],
}

const core = 'packages/oncekey/src/core'
const ring = (name: string, other: string): string =>
  `import { ${other} } from './${other}.ts'\nexport const ${name} = (): number => ${other}() + 1\n`

/** Files of a room that may import what its others may not, their peer or the platform, by how their names begin. */
const named: Readonly<Record<string, Room>> = {
  'packages/oncekey/src/queue/start': {
    refuses: [use('bullmq'), use('../stores/memory.ts')],
    allows: [use('../platform/idempotency.ts')],
  },
  'packages/oncekey/src/queue/bullmq': {
    refuses: [use('amqplib'), use('../platform/idempotency.ts'), use('../stores/memory.ts')],
    allows: [use('bullmq'), use('./start.ts')],
  },
  'packages/oncekey/src/queue/nats': {
    refuses: [use('bullmq'), use('../platform/idempotency.ts'), useType('ioredis')],
    allows: [use('@nats-io/jetstream'), useType('@nats-io/transport-node')],
  },
  'packages/oncekey/src/queue/rabbitmq': {
    refuses: [use('@nats-io/jetstream'), use('../platform/idempotency.ts')],
    allows: [useType('amqplib')],
  },
}

/** Where a room's planted files lie: in its folder, or beside each other with the beginning of its files' names. */
const places: readonly (readonly [place: string, room: Room])[] = [
  ...Object.entries(rooms).map(([folder, room]) => [`${folder}/`, room] as const),
  ...Object.entries(named).map(([start, room]) => [`${start}-`, room] as const),
]

const planted = new Map<string, string>([
  [`${core}/left.ts`, ring('left', 'right')],
  [`${core}/right.ts`, ring('right', 'left')],
  [`${core}/top.ts`, ring('top', 'bottom')],
  [`${core}/bottom.ts`, 'export const bottom = (): number => 1\n'],
])
for (const [place, { refuses, allows }] of places) {
  for (const [at, text] of refuses.entries()) planted.set(`${place}refused${at}.ts`, text)
  for (const [at, text] of allows.entries()) planted.set(`${place}allowed${at}.ts`, text)
}
for (const [rule, [refused, control]] of Object.entries(lints)) {
  planted.set(`${core}/${rule}.ts`, refused)
  planted.set(`${core}/${rule}-control.ts`, control)
}
const found = lint(planted)

describe.each(places)('%s', (place, { refuses, allows }) => {
  test.each(refuses.map((text, at) => [text.split('\n')[0], at, text] as const))('refuses %s', (_, at, text) => {
    // Biome's own rule does not see `import('…')` in a type; our plugin forbids that form altogether.
    const rule = /^export type It = import\(/.test(text) ? 'plugin' : 'lint/style/noRestrictedImports'
    expect(found.get(`${place}refused${at}.ts`)).toContain(rule)
  })
  test.each(allows.map((text, at) => [text.split('\n')[0], at] as const))('allows %s', (_, at) => {
    expect(found.get(`${place}allowed${at}.ts`)).toEqual([])
  })
})

test.each(['packages/oncekey/src', 'packages/gateway/src'])('every room of %s has planted violations', (folder) => {
  const names = readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(names.length).toBeGreaterThan(0)
  for (const { name } of names) {
    expect(rooms[`${folder}/${name}`]?.refuses.length, `${folder}/${name}: no room rule is tested`).toBeGreaterThan(0)
  }
})

describe('lints', () => {
  test.each(Object.keys(lints))('%s refuses what it is there for', (rule) => {
    expect(found.get(`${core}/${rule}.ts`)?.map((category) => category.split('/').at(-1))).toContain(rule)
  })
  test.each(Object.keys(lints))('%s lets its control pass', (rule) => {
    expect(found.get(`${core}/${rule}-control.ts`)).toEqual([])
  })
  test('noImportCycles refuses two files that import each other', () => {
    expect(found.get(`${core}/left.ts`)).toContain('lint/suspicious/noImportCycles')
    expect(found.get(`${core}/right.ts`)).toContain('lint/suspicious/noImportCycles')
  })
  test('noImportCycles lets an import in one direction pass', () => {
    expect(found.get(`${core}/top.ts`)).toEqual([])
  })
})
