/** The timelines of docs/guide/policies.md are what the examples print, each line a process that was killed there. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root, textOf } from './markdown.ts'

const page = textOf('docs/guide/policies.md')
const policies = ['unknown', 'reexecute', 'reconcile', 'resume'] as const

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

const printed = new Map(
  policies.map((policy) => {
    const path = join(root, `examples/policies/${policy}.mjs`)
    const { stdout, stderr, status } = spawnSync(process.execPath, [path], { encoding: 'utf8', timeout: 25_000 })
    return [policy, { lines: linesOf(stdout), stderr, status }] as const
  }),
)

describe.each(policies)('onAbandoned: %s', (policy) => {
  const drawn = linesOf(new RegExp(`\`\`\`text ${policy}\n([^\`]+)\`\`\``).exec(page)?.[1] ?? '')

  test('its example runs to its end, with a timeline for each moment', () => {
    expect(printed.get(policy)).toMatchObject({ stderr: '', status: 0 })
    expect(drawn).toHaveLength(4)
  })
  test.each([
    ['before dispatch', 0],
    ['after dispatch', 1],
    ['after the effect', 2],
    ['after settle', 3],
  ] as const)('a crash %s is as it is drawn', (_, at) => {
    expect(printed.get(policy)?.lines[at]).toBe(drawn[at])
  })
  test('shows the code that it is about', () => {
    const code = textOf(`examples/policies/${policy}.mjs`)
    const [, shown = ''] = new RegExp(`## \`${policy}\`[^\n]*\n\n\`\`\`js\n([\\s\\S]*?)\`\`\``).exec(page) ?? []
    expect(shown).not.toBe('')
    if (policy !== 'resume') for (const line of linesOf(shown)) expect(code).toContain(line)
  })
})

test('the control: the policies differ, so that no timeline is what every policy would draw', () => {
  const all = policies.map((policy) => printed.get(policy)?.lines.join('\n'))
  expect(new Set(all).size).toBe(policies.length)
  expect(all.join('\n')).toMatch(/paid 2 in all[\s\S]*paid 3 in all/)
})
