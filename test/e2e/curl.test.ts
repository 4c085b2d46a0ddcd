/** curl, as a script uses it: with retries of its own, and its output taken for the answer. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ensureProgram } from '../../scripts/tools.mjs'
import { clientSuite } from './clients.ts'
import { roster } from './roster.ts'
import type { Ask, Told } from './sdk.ts'

const program = ensureProgram('curl')

/** What the answer says, of all that came; a stream's events as far as they are whole. */
function said(ask: Ask, output: string): string {
  if (ask.kind === 'plain') return (JSON.parse(output) as Completion).choices?.[0]?.message?.content ?? ''
  const events = output
    .split('\n\n')
    .slice(0, -1)
    .filter((event) => event.startsWith('data: {'))
  return events.map((event) => (JSON.parse(event.slice(6)) as Completion).choices?.[0]?.delta?.content ?? '').join('')
}

interface Completion {
  readonly choices?: readonly {
    readonly message?: { readonly content?: string }
    readonly delta?: { readonly content?: string }
  }[]
}

async function perform(ask: Ask): Promise<Told> {
  const body = { model: 'pretend-1', messages: [{ role: 'user', content: ask.prompt }], stream: ask.kind === 'stream' }
  const curl = spawn(program, [
    ...['--silent', '--show-error', '--no-buffer', '--write-out', '%{stderr}status %{http_code}'],
    // Without the second, only timeouts and some statuses are tried again, not connections that broke.
    ...['--retry', String(ask.retries ?? 2), '--retry-all-errors'],
    ...(ask.timeoutMs === undefined ? [] : ['--max-time', String(ask.timeoutMs / 1000)]),
    ...['--header', 'Authorization: Bearer sk-test', '--header', 'Content-Type: application/json'],
    ...(ask.key === undefined ? [] : ['--header', `Idempotency-Key: "${ask.key}"`]),
    ...['--data', JSON.stringify(body), `${ask.baseURL}/v1/chat/completions`],
  ])
  let output = ''
  let complaints = ''
  curl.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString()
  })
  curl.stderr.on('data', (bytes: Buffer) => {
    complaints += bytes.toString()
  })
  // Rejects where there is no curl.
  const [code] = (await once(curl, 'close')) as [number | null]
  const status = Number(/status (\d+)$/.exec(complaints)?.[1] ?? 0)
  if (status >= 400) return { text: '', how: null, replayed: null, error: { name: 'curl', status, message: output } }
  const failed = code === 0 ? {} : { error: { name: `curl: (${code})`, message: complaints } }
  const text = code === 0 || ask.kind === 'stream' ? said(ask, output) : ''
  return { text, how: null, replayed: null, ...failed }
}

clientSuite(roster.curl, async () => perform)
