/** Every example of a server charges once and replays; the guide's blocks are the examples' own lines. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { below, blocks, plain, root, textOf } from './markdown.ts'

const frameworks = ['express', 'fastify', 'fetch', 'hono', 'koa', 'nest', 'node']

describe('examples/servers', () => {
  test('has one for each adapter', () => {
    const named = frameworks.map((name) => `examples/servers/${name}.mjs`)
    expect(below('examples/servers', '.mjs').sort()).toEqual([...named, 'examples/servers/ask.mjs'].sort())
  })
  test.each(frameworks)('%s.mjs charges once, replays, and ends by itself', (name) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, `examples/servers/${name}.mjs`)], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: '201 executed {"charge":1,"amount":5}\n201 replayed {"charge":1,"amount":5}\n',
      stderr: '',
    })
  })
})

describe('servers.md', () => {
  const page = textOf('docs/guide/servers.md')

  test('shows the lines of the examples', () => {
    const shown = blocks(page).filter(({ text }) => /^\/\/ examples\/servers\//.test(text))
    expect(shown.length).toBe(frameworks.length - 1)
    for (const { text } of shown) {
      const [head = '', ...lines] = text.trimEnd().split('\n')
      const example = textOf(head.replace('// ', ''))
      for (const line of lines.filter((one) => one !== '' && !one.startsWith('//'))) expect(example).toContain(line)
    }
  })
  test('names every option of the adapters', () => {
    const source = ['host.ts', 'route.ts'].map((file) => textOf(`packages/oncekey/src/http/${file}`)).join('\n')
    const ownOptions = ['tenant', 'mismatch', 'onDisconnect', 'keyless', 'classify', 'requireKey', 'methods']
    const sizes = [
      'maxBodyBytes',
      'maxOutcomeBytes',
      'maxStepBytes',
      'ignore',
      'replayHeaders',
      'keyAliases',
      'strictKeys',
    ]
    const rest = ['dangerouslyAllowAnonymous', 'failed', 'store', 'onAbandoned']
    const reference = textOf('docs/reference/library.md')
    for (const name of [...ownOptions, ...sizes, ...rest]) {
      expect(source).toContain(name)
      expect(plain(reference)).toContain(`\`${name}\``)
    }
  })
})
