/** The pepper in a file. */
import { readFileSync } from 'node:fs'
import { UsageError } from './usage.ts'

/** The pepper in a file; undefined where none is named. Throws UsageError. */
export function readPepper(path: string | undefined, origin: string): Uint8Array | undefined {
  if (path === undefined) return undefined
  let written: string
  try {
    written = readFileSync(path, 'utf8').trim()
  } catch {
    throw new UsageError(`${origin} is "${path}", which cannot be read. Name a file with the base64 of 32 bytes.`)
  }
  const pepper = Buffer.from(written, 'base64')
  if (pepper.length !== 32 || !/^[\w+/-]{43}=?$/.test(written)) {
    throw new UsageError(
      `The file ${path} (${origin}) must hold the base64 of exactly 32 bytes: head -c 32 /dev/urandom | base64`,
    )
  }
  return pepper
}
