/** Batch files for tests, each in a folder of its own that is gone with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder for one test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'oncekey-batch-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A file with this text. */
export function fileOf(text: string | Buffer, name = 'in.jsonl'): string {
  const path = join(folder(), name)
  writeFileSync(path, text)
  return path
}

/** A line in OpenAI's format; its `user` is its name, which the pretend provider notes. */
export function openaiLine(customId: string, body: object = {}): string {
  const messages = [{ role: 'user', content: `Say ${customId}` }]
  const whole = { model: 'pretend-1', user: customId, messages, ...body }
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body: whole })
}

/** A line in Anthropic's format. */
export function anthropicLine(customId: string, params: object = {}): string {
  const messages = [{ role: 'user', content: `Say ${customId}` }]
  const whole = { model: 'pretend-1', max_tokens: 9, metadata: { user_id: customId }, messages, ...params }
  return JSON.stringify({ custom_id: customId, params: whole })
}

/** So many lines, named `line-0`, `line-1` … */
export function openaiLines(count: number): string {
  return Array.from({ length: count }, (_, at) => `${openaiLine(`line-${at}`)}\n`).join('')
}
