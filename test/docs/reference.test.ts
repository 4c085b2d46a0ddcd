/** The reference pages against the code, both ways: what one has and the other lacks is a failure. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { instrumentsOf } from '../../packages/gateway/src/admin/instruments.ts'
import { adminProblems } from '../../packages/gateway/src/admin/problem.ts'
import { commands } from '../../packages/gateway/src/cli/commands.ts'
import { commandSpecs } from '../../packages/gateway/src/cli/flags.ts'
import { loadConfigFile, loadGatewayConfig } from '../../packages/gateway/src/config/load.ts'
import { fileKey, variable } from '../../packages/gateway/src/config/option.ts'
import { gatewayOptions } from '../../packages/gateway/src/config/options.ts'
import { presetNames, presets } from '../../packages/gateway/src/config/presets/index.ts'
import { jsonSchema } from '../../packages/gateway/src/config/schema.ts'
import { errorCatalogue } from '../../packages/oncekey/src/core/catalogue.ts'
import { policyDefaults } from '../../packages/oncekey/src/core/policy.ts'
import { blocks, pages, plain, quoted, root, section, table, textOf } from './markdown.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-docs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('errors.md', () => {
  const rows = table(textOf('docs/reference/errors.md'), 'code', 'status', 'retry', 'when', 'what to do')

  test('lists every code of the catalogue and no other, each once', () => {
    expect(rows.map(([code]) => quoted(code ?? '')[0]).sort()).toEqual(Object.keys(errorCatalogue).sort())
  })
  for (const [code, { status, retryable }] of Object.entries(errorCatalogue)) {
    test(`says the status and the retry of ${code}`, () => {
      const row = rows.find(([cell]) => cell === `\`${code}\``)
      expect(row?.slice(1, 3)).toEqual([String(status), retryable ? 'yes' : 'no'])
      expect(row?.[3]).not.toBe('')
      expect(row?.[4]).not.toBe('')
    })
  }
})

describe('admin.md', () => {
  const page = textOf('docs/reference/admin.md')

  test('lists every refusal of the admin side with its status, and no other', () => {
    const rows = table(page, 'code', 'status', 'when').map(([code = '', status]) => [quoted(code)[0], Number(status)])
    expect(rows.sort()).toEqual(
      Object.entries(adminProblems)
        .map(([code, { status }]) => [code, status])
        .sort(),
    )
  })
  test('lists every path with its methods, and whether it needs the token', () => {
    const source = textOf('packages/gateway/src/admin/server.ts')
    const paths = [...source.matchAll(/pattern: \/\^(.+?)\$\/,(\s*open: true,)?\s*methods: \{ (.+?) \}/g)]
    const wanted = paths.flatMap(([, pattern = '', open, methods = '']) =>
      [...methods.matchAll(/([A-Z]+):/g)].map(([, method]) => [
        pattern.replaceAll('\\/', '/').replace('([^/]+)', '{id}'),
        method,
        open === undefined ? 'yes' : 'no',
      ]),
    )
    expect(wanted.length).toBe(9)
    const rows = table(page, 'path', 'method', 'token', 'answer').map(([path = '', ...rest]) => [
      quoted(path)[0],
      ...rest.slice(0, 2),
    ])
    expect(rows).toEqual(wanted)
  })
})

describe('metrics.md', () => {
  test('lists every metric with its type and labels, and no other', () => {
    const { registry } = instrumentsOf(() => ({ open: 0, running: 0, waiting: 0, bodyBytes: 0 }))
    const made = registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames: string[] }[]
    const wanted = made
      .filter(({ name }) => !/^(?:process|nodejs)_/.test(name))
      .map(({ name, type, labelNames }) => [name, type, labelNames])
    const rows = table(textOf('docs/reference/metrics.md'), 'metric', 'type', 'labels', 'what')
    expect(rows.map(([name = '', type, labels = '']) => [quoted(name)[0], type, quoted(labels)]).sort()).toEqual(
      wanted.sort(),
    )
  })
})

describe('flags.md', () => {
  const rows = table(
    textOf('docs/reference/flags.md'),
    'flag',
    'variable',
    'file key',
    'default',
    'per route',
    'meaning',
  )
  const none = '–'

  test('lists every option of the gateway in the order of the help, with flag, variable, file key, default and place', () => {
    const wanted = gatewayOptions.map((spec) => [
      spec.fileOnly ? none : `\`--${spec.flag}\``,
      spec.fileOnly ? none : `\`${variable(spec.flag)}\``,
      // A file cannot name another file.
      spec.flag === 'config' ? none : `\`${fileKey(spec.flag)}\``,
      spec.default === '' ? none : `\`${spec.default}\``,
      // `methods` is a key of every route by itself.
      spec.perRoute || spec.flag === 'methods' ? 'yes' : 'no',
    ])
    expect(rows.map((row) => row.slice(0, 5))).toEqual(wanted)
  })
  for (const { flag, words } of gatewayOptions.filter((spec) => spec.words !== undefined)) {
    test(`names each choice of ${flag}`, () => {
      const row = rows.find(([shown, , key]) => shown === `\`--${flag}\`` || key === `\`${fileKey(flag)}\``)
      expect(quoted(row?.[5] ?? '')).toEqual(expect.arrayContaining([...(words ?? [])]))
    })
  }
})

describe('commands.md', () => {
  const page = textOf('docs/reference/commands.md')
  const specs = Object.values(commandSpecs)

  test('lists every command of the program but those with a page of their own', () => {
    const listed = new Set(specs.map(({ name }) => name.split(' ')[0]))
    expect([...listed].sort()).toEqual(
      Object.keys(commands)
        .filter((name) => !['gateway', 'demo'].includes(name))
        .sort(),
    )
  })
  for (const { name, flags } of specs) {
    test(`lists every flag of ${name} in the order of its help, and no other`, () => {
      const rows = table(section(page, name), 'flag', 'meaning')
      expect(rows.map(([flag]) => flag)).toEqual(
        flags.map(({ flag, placeholder }) => `\`--${flag}${placeholder === '' ? '' : ` ${placeholder}`}\``),
      )
    })
  }
})

describe('flags in the pages', () => {
  const known = [...gatewayOptions.filter(({ fileOnly }) => !fileOnly).map(({ flag }) => flag), 'help']

  test('every flag in a sentence exists', () => {
    const ofCommands = Object.values(commandSpecs).flatMap(({ flags }) => flags.map(({ flag }) => flag))
    const ofCurl = ['http2', 'fail', 'retry-all-errors']
    const others = ['config', 'version', ...ofCurl, ...ofCommands]
    const named = pages
      .filter((page) => !page.startsWith('docs/adr/') && page !== 'CONTRIBUTING.md')
      .flatMap((page) =>
        quoted(plain(textOf(page))).flatMap((text) => (/^--([a-z-]+)/.exec(text)?.[1] ?? []) as string[]),
      )
    expect(named.filter((flag) => !known.includes(flag) && !others.includes(flag))).toEqual([])
  })
})

describe('config.md', () => {
  const [example] = blocks(textOf('docs/reference/config.md')).filter(({ language }) => language === 'yaml')

  test('has an example that loads', () => {
    const path = join(folder, 'oncekey.yaml')
    writeFileSync(path, example?.text ?? '')
    const config = loadGatewayConfig(['--config', path], {})
    expect([...(config?.upstreams.keys() ?? [])]).toEqual(['openai', 'anthropic'])
    expect(config?.rules.map((rule) => rule.path)).toEqual([
      '/v1/batches',
      '/v1/embeddings',
      '/v1/files*',
      '/v1/moderations',
    ])
  })
})

describe('the configuration in the pages', () => {
  const page = textOf('docs/reference/config.md')
  const written = pages.flatMap((path) =>
    blocks(textOf(path)).flatMap(({ language, text }) =>
      language === 'yaml' && /^(?:upstream|prices):/m.test(text) ? [[path, text] as const] : [],
    ),
  )

  test('passes oncekey config check, in every block', () => {
    expect(written.length).toBeGreaterThan(4)
    for (const [at, [, text]] of written.entries()) {
      const path = join(folder, `block${at}.yaml`)
      writeFileSync(path, text)
      expect(() => loadConfigFile(path), text).not.toThrow()
    }
  })
  test('lists the presets, the hosts they are chosen by, and what becomes of what they do not name', () => {
    const rows = table(page, '`preset`', 'chosen by the host', 'what it does not name')
    const wanted = presetNames.map((name) => {
      const { hosts, restIsOnce } = presets[name]
      const shown = hosts.map((host) => `\`${host}\``).join(', ') || '–'
      return [`\`${name}\``, name === 'common' ? 'every other host' : shown, restIsOnce ? '`unknown`' : 'the top level']
    })
    expect(rows).toEqual([...wanted, ['`none`', '–', 'the top level']])
  })
  test('lists the keys of a route that are no options', () => {
    const rows = table(section(page, 'Routes'), 'key', 'meaning').map(([cell = '']) => quoted(cell)[0])
    const options = gatewayOptions.filter(({ perRoute }) => perRoute).map(({ flag }) => fileKey(flag))
    const schema = jsonSchema() as { properties: { routes: { items: { properties: object } } } }
    const own = Object.keys(schema.properties.routes.items.properties).filter((key) => !options.includes(key))
    expect(rows.slice(0, -1)).toEqual(own)
  })
  test('lists the words of classify', () => {
    const rows = table(section(page, 'classify'), 'word', 'the answer is').map(([cell = '']) => quoted(cell)[0])
    const schema = jsonSchema() as { properties: { classify: { additionalProperties: { enum: string[] } } } }
    expect(rows).toEqual(schema.properties.classify.additionalProperties.enum)
  })
})

describe('client.md', () => {
  const page = textOf('docs/reference/client.md')
  const source = textOf('packages/oncekey/src/client/fetch.ts')

  test('lists every option of idempotentFetch in order, with its default, and no other', () => {
    const [, body = ''] = /export interface FetchOptions \{([\s\S]*?)\n\}/.exec(source) ?? []
    const options = [...body.matchAll(/^ {2}readonly (\w+)\?:/gm)].map(([, name]) => name)
    expect(options.length).toBeGreaterThan(5)
    const rows = table(page, 'option (`FetchOptions`)', 'default', 'meaning')
    expect(rows.flatMap(([cell = '']) => quoted(cell))).toEqual(options)
    const defaults = [...source.matchAll(/(retries|waitMs) = ([\d_]+)/g)].map(([, name, value = '']) => [name, value])
    expect(defaults).toEqual([
      ['retries', '5'],
      ['waitMs', '600_000'],
    ])
    for (const [name, value = ''] of defaults)
      expect(rows.find(([cell]) => cell === `\`${name}\``)?.[1]).toBe(value.replaceAll('_', ','))
  })
  test('names every type that the subpath exports', () => {
    const exported = [...textOf('packages/oncekey/src/client/index.ts').matchAll(/export (?:type )?\{([^}]+)\}/g)]
    const names = exported.flatMap(([, list = '']) => list.split(',').map((name) => name.trim()))
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter((name) => !page.includes(name))).toEqual([])
  })
})

describe('library.md', () => {
  const page = textOf('docs/reference/library.md')
  const index = textOf('packages/oncekey/src/index.ts')
  const exported = [...index.matchAll(/export (?:type )?\{([^}]+)\}/g)].flatMap(([, names = '']) =>
    names.split(',').map((name) => name.trim()),
  )

  test('names everything that the front door exports', () => {
    const words = new Set(quoted(page).flatMap((text) => text.split(/\W+/)))
    const titles = new Set([...page.matchAll(/^#+ (.*)$/gm)].flatMap(([, title = '']) => title.split(/\W+/)))
    expect(exported.length).toBeGreaterThan(20)
    expect(exported.filter((name) => name !== '' && !words.has(name) && !titles.has(name))).toEqual([])
  })
  test('says the defaults of the policy', () => {
    const rows = table(page, 'option (`CreateOptions`)', 'default', 'meaning')
    const said = new Map(rows.map(([option = '', value = '']) => [quoted(option)[0], value.replaceAll(',', '')]))
    for (const [name, value] of Object.entries(policyDefaults))
      expect([name, said.get(name)]).toEqual([name, String(value)])
  })
  test('names the members of an attempt, an operation and a result, and no others', () => {
    const source = textOf('packages/oncekey/src/core/run.ts')
    const running = textOf('packages/oncekey/src/core/running.ts')
    expect(firstCells(page, '`RunningAttempt`, the argument of `execute`')).toEqual(
      membersOf(running, 'RunningAttempt'),
    )
    const operation = textOf('packages/oncekey/src/core/operation.ts')
    expect(firstCells(page, '`Operation`')).toEqual(membersOf(operation, 'Operation'))
    const result = quoted(section(page, 'runDetailed\\(operation, execute\\)').split('| `status`')[0] ?? '')
    expect(result).toEqual(expect.arrayContaining(membersOf(source, 'RunResult')))
  })
  test('names the subpaths of the package, and no others', () => {
    const manifest = JSON.parse(textOf('packages/oncekey/package.json')) as { exports: Record<string, unknown> }
    const subpaths = table(page, 'subpath', 'for').map(([cell = '']) => quoted(cell)[0])
    expect(subpaths.sort()).toEqual(
      Object.keys(manifest.exports)
        .filter((name) => name !== '.')
        .map((name) => name.replace('.', 'oncekey'))
        .sort(),
    )
  })
})

function firstCells(page: string, heading: string): string[] {
  return table(page, heading, '')
    .map(([cell = '']) => (quoted(cell)[0] ?? '').replace('()', ''))
    .sort()
}

function membersOf(source: string, name: string): string[] {
  const body = new RegExp(`export interface ${name}(?:<\\w+>)? \\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? ''
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(<]/gm)].map(([, member = '']) => member).sort()
}

describe('ARCHITECTURE.md', () => {
  test('lists the rooms that exist, and no others', () => {
    const rooms = ['oncekey', 'gateway'].flatMap((name) =>
      readdirSync(join(root, 'packages', name, 'src'), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => `packages/${name}/src/${entry.name}`),
    )
    const listed = table(textOf('ARCHITECTURE.md'), 'room', 'holds').map(([cell = '']) => quoted(cell)[0] ?? '')
    expect(listed.sort()).toEqual(rooms.sort())
  })
  test('points to files that exist', () => {
    const places = quoted(plain(textOf('ARCHITECTURE.md'))).filter((text) => /^(?:\w+\/)+[\w-]+\.ts$/.test(text))
    const sources = ['', 'packages/oncekey/src/', 'packages/gateway/src/']
    const missing = places.filter((place) => !sources.some((source) => exists(source + place)))
    expect(places.length).toBeGreaterThan(20)
    expect(missing).toEqual([])
  })
})

function exists(path: string): boolean {
  try {
    return textOf(path) !== ''
  } catch {
    return false
  }
}
