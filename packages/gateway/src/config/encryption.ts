/** The key file of encryption at rest: a key a line, its id and the base64 of 32 bytes. */
import type { Encryption, EncryptionKey } from 'oncekey/http'
import { readGuarded } from './guarded.ts'
import { UsageError } from './usage.ts'
import type { Origin } from './values.ts'

const lineForm = /^([\w.-]{1,32})\s+([\w+/-]{43}=?)$/

/**
 * The keys in a file, the one that encrypts first; undefined where none is named. Empty lines, and those that begin with #,
 * are passed over. Throws UsageError, which never repeats a line.
 */
export function readEncryption(path: string | undefined, origin: Origin): Encryption | undefined {
  if (path === undefined) return undefined
  const lines = readGuarded(path, origin, 'a file with a key a line: an id and the base64 of 32 bytes').split('\n')
  const keys: EncryptionKey[] = []
  for (const [at, line] of lines.entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const place = `Line ${at + 1} of the file ${path} (${origin})`
    const [, id, base64 = ''] = lineForm.exec(line.trim()) ?? []
    const key = Buffer.from(base64, 'base64')
    if (id === undefined || key.length !== 32)
      throw new UsageError(
        `${place} must be an id of 1–32 letters, digits, ".", "-" or "_", a space, and the base64 of exactly 32 bytes.`,
      )
    if (keys.some((other) => other.id === id))
      throw new UsageError(`${place} has the id "${id}" of a line before it. Give each key an id of its own.`)
    keys.push({ id, key })
  }
  if (keys.length > 0) return { keys }
  throw new UsageError(
    `The file ${path} (${origin}) holds no key. Make one: echo "k1 $(head -c 32 /dev/urandom | base64)" > ${path}`,
  )
}
