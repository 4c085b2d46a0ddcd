/** Every `oncekey …` that a shell block of a page shows is read by the program's own parser: flags, values and all. */
import { describe, expect, test } from 'vitest'
import { commands } from '../../packages/gateway/src/cli/commands.ts'
import { commandSpecs, readFlags } from '../../packages/gateway/src/cli/flags.ts'
import { loadGatewayConfig, UsageError } from '../../packages/gateway/src/config/index.ts'
import { blocks, pages, textOf } from './markdown.ts'

/** The commands of a shell script that call us: what stands behind `oncekey`. */
function callsOf(script: string): string[][] {
  return script
    .replaceAll('\\\n', ' ')
    .split(/\n|&&|\|\|/)
    .map(wordsOf)
    .flatMap(([first, ...rest]) => {
      if (first === 'npx') return rest[0] === 'oncekey' ? [rest.slice(1)] : []
      return first === 'oncekey' ? [rest] : []
    })
}

/** The words of a line, unquoted, up to what the shell keeps for itself: a comment, a pipe, a redirection, `&`. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|([^\s'"]+)/g)].map(
    ([, one, two, bare]) => one ?? two ?? bare ?? '',
  )
  const end = words.findIndex((word) => /^(?:#|\||>|<|&$)/.test(word))
  return end < 0 ? words : words.slice(0, end)
}

/** What the program would say against a call, or undefined. */
function complaint(args: readonly string[]): string | undefined {
  const [name = '', ...rest] = args
  if (commands[name] === undefined) return `there is no command "${name}"`
  try {
    if (name === 'gateway') readGateway(rest)
    else if (name !== 'demo') readOther(name, rest)
    return undefined
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    // The reader's files are not here; that a file may be named is what counts.
    return error.message.includes('(ENOENT)') ? undefined : error.message
  }
}

/** The file of `--config` is somebody else's test (reference.test.ts): what the flags need beside it is made up. */
function readGateway(args: readonly string[]): void {
  const at = args.indexOf('--config')
  const flags = at < 0 ? args : [...args.slice(0, at), '--upstream', 'https://api.openai.com', ...args.slice(at + 2)]
  loadGatewayConfig(flags, {})
}

function readOther(name: string, args: readonly string[]): void {
  const spec = Object.values(commandSpecs).find((one) => one.name === name || one.name === `${name} ${args[0]}`)
  if (spec === undefined) throw new UsageError(`there is no command "${name} ${args[0]}"`)
  readFlags(spec, spec.name === name ? args : args.slice(1), {})
}

const shown = pages.flatMap((page) =>
  blocks(textOf(page)).flatMap(({ language, text }) =>
    language === 'sh' ? callsOf(text).map((args) => [args.join(' '), page, args] as const) : [],
  ),
)

describe('the commands in the pages', () => {
  test('are there, of every kind', () => {
    const names = new Set(shown.map(([, , [name]]) => name))
    expect([...names].sort()).toEqual(
      expect.arrayContaining(['batch', 'config', 'demo', 'gateway', 'ledger', 'records']),
    )
  })
  test.each(shown)('oncekey %s (%s)', (_, __, args) => {
    expect(complaint(args)).toBeUndefined()
  })
  test('the control: a wrong flag, a wrong value and a command that is not there are refused', () => {
    const [flag, value, command, other] = callsOf(
      'npx oncekey gateway --upstraem x &\noncekey gateway --upstream sandbox: \\\n  --wait soon\noncekey serve\noncekey records list --stale x',
    ).map(complaint)
    expect(flag).toContain('--upstraem')
    expect(value).toContain('--wait')
    expect(command).toContain('"serve"')
    expect(other).toContain('--stale')
  })
})
