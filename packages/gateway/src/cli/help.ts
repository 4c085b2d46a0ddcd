/** What `--help` prints; flags come from the table of options. */
import { readFileSync } from 'node:fs'
import { gatewayOptions, variable } from '../config/index.ts'

/** The version of this package. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return (manifest as { version: string }).version
}

/** The root help: the commands that exist. */
export function rootHelp(commands: Readonly<Record<string, { readonly summary: string }>>): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  return [
    'oncekey: one recorded answer for a key, however often the request is retried.',
    '',
    'Usage: oncekey COMMAND [flags]',
    '',
    ...lines,
    '',
    'oncekey COMMAND --help shows the flags of a command.',
  ].join('\n')
}

/** The help of `oncekey gateway`. */
export function gatewayHelp(): string {
  const lines = gatewayOptions
    .filter(({ fileOnly }) => !fileOnly)
    .map((spec) => {
      const left = `  --${spec.flag}${spec.placeholder === '' ? '' : ` ${spec.placeholder}`}`
      const known = spec.default === '' || spec.kind === 'boolean' ? '' : ` (${spec.default})`
      return `${left.padEnd(34)}${spec.help}${known}`
    })
  return [
    'Usage: oncekey gateway --upstream https://api.openai.com [flags]',
    '',
    'Clients change one base URL and send an Idempotency-Key; every retry gets the one recorded answer.',
    '',
    ...lines,
    '',
    `Each flag is also a variable (${variable('on-abandoned')}) and a key of the file (onAbandoned); flag before variable before file.`,
    'oncekey config init writes a file to begin with; what differs by route, and presets of APIs, stand there.',
    'Example: oncekey gateway --upstream openai=https://api.openai.com --upstream anthropic=https://api.anthropic.com',
  ].join('\n')
}
