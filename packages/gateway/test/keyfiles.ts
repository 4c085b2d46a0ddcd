/** Key files of encryption at rest, as an operator makes them: a key of one name is the same in every file. */
import { createHash } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-keys-'))
let made = 0

/** A file with these keys, for its owner alone, and the flags that name it; no flags for no keys. */
export function keyFile(...ids: readonly string[]): string[] {
  if (ids.length === 0) return []
  const lines = ids.map((id) => `${id} ${createHash('sha256').update(id).digest('base64')}\n`)
  return ['--encryption-key-file', fileOf(lines.join(''))]
}

/** A file of any content and mode. */
export function fileOf(text: string, mode = 0o600): string {
  made += 1
  const path = join(folder, `keys${made}`)
  writeFileSync(path, text, { mode })
  return path
}
