/** docs/tutorial.md, from its first command to its last, in one shell: what it prints is what the page says. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blocks, root, textOf } from './markdown.ts'

let folder = ''
let steps: readonly Step[] = []
let ran: readonly string[] = []

/** Commands, with the files that the page has its reader write before them, and what they print. */
interface Step {
  readonly files: readonly string[]
  readonly commands: string
  printed: string
}

/** The page as steps. A text block belongs to the commands before it. */
function stepsOf(page: string): Step[] {
  const found: Step[] = []
  let files: string[] = []
  for (const { language, text } of blocks(page)) {
    if (language === 'js') files.push(text)
    else if (language === 'sh') {
      found.push({ files, commands: text, printed: '' })
      files = []
    } else if (language === 'text') (found.at(-1) ?? { printed: '' }).printed = text
    else throw new Error(`the tutorial has a block of ${language}, which nobody runs`)
  }
  return found
}

/** One script for all, with a mark before what each step prints. What goes on behind `&` listens before the next step. */
function scriptOf(all: readonly Step[], ports: readonly number[]): string {
  const unheard = [...ports]
  const script = all.map(({ files, commands }, at) => {
    const written = files.map((text) => {
      const name = /^\/\/ (\S+\.mjs)\n/.exec(text)?.[1]
      if (name === undefined) throw new Error(`a file of the tutorial has no name: ${text}`)
      return `cat > ${name} <<'END OF FILE'\n${text}END OF FILE`
    })
    const wait = commands.trimEnd().endsWith('&') ? listening(unheard.shift()) : ''
    return [...written, `echo '=== ${at}'`, commands, wait].join('\n')
  })
  // Jobs as in a terminal: a kill reaches all of one, also what npx has started.
  return ['set -m', "trap 'for job in $(jobs -p); do kill -- -$job; done' EXIT", ...script].join('\n')
}

function listening(port: number | undefined): string {
  return `for i in {1..300}; do (: < /dev/tcp/127.0.0.1/${port}) 2>/dev/null && break; sleep 0.1; done`
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()]
  for (const server of servers) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  for (const server of servers) server.close()
  return [ports[0] ?? 0, ports[1] ?? 0]
}

beforeAll(async () => {
  // Inside the repository, where packages are found as in a folder of a checkout.
  folder = mkdtempSync(join(root, 'node_modules', '.oncekey-tutorial-'))
  const [port, other] = await freePorts()
  const page = textOf('docs/tutorial.md').replaceAll('3000', String(port)).replaceAll('8787', String(other))
  steps = stepsOf(page)
  const path = `${dirname(process.execPath)}:${process.env['PATH']}`
  const { stdout } = spawnSync('bash', ['-c', scriptOf(steps, [port, other]).replace('npm ci', ':')], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
    timeout: 60_000,
  })
  ran = stdout.split(/^=== \d+\n/m).slice(1)
}, 70_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** `…` stands for anything within a line. */
function patternOf(printed: string): RegExp {
  const escaped = printed.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${escaped.join('.+')}$`)
}

const headings = [...textOf('docs/tutorial.md').matchAll(/```sh\n([^\n]*)/g)].map(
  ([, first = ''], at) => [first, at] as const,
)

describe('the tutorial', () => {
  test('begins with an install and has commands to run', () => {
    expect(headings[0]?.[0]).toBe('npm ci')
    expect(headings.length).toBeGreaterThan(10)
  })
  test.each(headings)('%s … prints what the page says', (_, at) => {
    const { printed } = steps[at] ?? { printed: undefined }
    expect(ran[at]).toMatch(patternOf(printed ?? 'no such step'))
  })
  test('leaves nothing behind', () => {
    const { stdout } = spawnSync('ls', ['-A', folder], { encoding: 'utf8' })
    expect(stdout).toBe('')
  })
  test('the control: another count on the bill, or a line too many, is no match', () => {
    const [, paid] = steps.filter(({ printed }) => /^\d$/m.test(printed))
    expect(paid?.printed).toMatch(patternOf(paid?.printed ?? ''))
    expect(paid?.printed.replace(/^2$/m, '1')).not.toMatch(patternOf(paid?.printed ?? ''))
    expect(`${paid?.printed}one more\n`).not.toMatch(patternOf(paid?.printed ?? ''))
  })
})
