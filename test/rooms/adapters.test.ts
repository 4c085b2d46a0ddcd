/** The adapters of http: each may import its own framework and no other, and only the shared parts the platform. */
import { describe, expect, test } from 'vitest'
import { lint } from './biome.ts'

/** What an adapter must never import, and, as the control, what it may. */
interface Adapter {
  readonly refuses: readonly string[]
  readonly allows: readonly string[]
}

const never = ['../stores/memory.ts', '../gateway.ts', 'undici', './../stores/memory.ts']
const always = ['./host.ts', '../core/policy.ts', '../providers/index.ts']

/** A framework's own file: the wiring is not its business. */
const front = (own: readonly string[], others: readonly string[]): Adapter => ({
  refuses: [...never, ...others, '../platform/node.ts'],
  allows: [...always, ...own],
})

const adapters: Readonly<Record<string, Adapter>> = {
  node: { refuses: [...never, 'express'], allows: [...always, 'node:http', '../platform/node.ts'] },
  'node-stage': { refuses: [...never, 'koa'], allows: [...always, 'node:http', '../platform/node.ts'] },
  'web-serve': { refuses: [...never, 'node:http', 'hono'], allows: [...always, '../platform/node.ts'] },
  fetch: front([], ['node:http', 'hono']),
  express: front(['express'], ['node:http', 'koa']),
  fastify: front(['fastify'], ['node:http', 'express']),
  hono: front(['hono'], ['node:http', '@hono/node-server']),
  koa: front(['koa'], ['node:http', 'express']),
  nest: front(['@nestjs/common', '@nestjs/core', 'rxjs', 'node:http'], ['express', '@nestjs/platform-express']),
}

const pathOf = (name: string): string => `packages/oncekey/src/http/${name}.ts`

/** One file with all the imports, the used and the type-only ones in turn. */
function planting(imports: readonly string[]): string {
  const lines = imports.map((path, at) =>
    at % 2 === 0 ? `import { a${at} } from '${path}'` : `import type { A${at} } from '${path}'`,
  )
  const uses = imports.map((_, at) => (at % 2 === 0 ? `export const b${at} = a${at}` : `export type B${at} = A${at}`))
  return `${[...lines, ...uses].join('\n')}\n`
}

const plant = (which: keyof Adapter): ReturnType<typeof lint> =>
  lint(new Map(Object.entries(adapters).map(([name, adapter]) => [pathOf(name), planting(adapter[which])])))

const refused = plant('refuses')
const allowed = plant('allows')

describe.each(Object.entries(adapters))('http/%s', (name, { refuses }) => {
  test('refuses every import that is not its own', () => {
    const rules = refused.get(pathOf(name))?.filter((rule) => rule === 'lint/style/noRestrictedImports')
    expect(rules?.length).toBe(refuses.length)
  })
  test('lets its own pass', () => {
    expect(allowed.get(pathOf(name))).toEqual([])
  })
})
