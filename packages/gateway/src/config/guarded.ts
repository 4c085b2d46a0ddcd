/** Files that hold a secret: refused when every user of the machine could read them. */
import { readFileSync, statSync } from 'node:fs'
import { UsageError } from './usage.ts'
import type { Origin } from './values.ts'

/**
 * Like ssh: a secret that every user of the machine could read protects nothing. The group may, for that is how they are
 * mounted. `wanted` ends the sentence about a file that cannot be read: what to name in its place. Throws UsageError.
 */
export function readGuarded(path: string, origin: Origin, wanted: string): string {
  let mode: number
  let written: string
  try {
    mode = statSync(path).mode
    written = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(`${origin} is "${path}", which cannot be read (${code}). Name ${wanted}.`)
  }
  if (process.platform === 'win32' || (mode & 0o006) === 0) return written
  throw new UsageError(
    `The file ${path} (${origin}) is open to every user of this machine (mode ${(mode & 0o777).toString(8)}). Close it: chmod o-rwx ${path}`,
  )
}
