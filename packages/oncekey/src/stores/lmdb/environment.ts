/** The LMDB environment: its options with their reasons, its keys, and conditional writes. */
import { statSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { IdempotencyError } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'

/** One database for all entries; each has a revision as its version, which grows with every write. */
export type Environment = RootDatabase<Buffer, Key>

/** Keys sort by kind, then by id. */
export type Key = string | (string | number)[]

/** The keys of the kinds of entries. */
export const keys = {
  record: (id: RecordId): Key => ['r', id],
  chunk: (id: string, attemptId: string, offset: number): Key => ['c', id, attemptId, offset],
  keyless: (listId: string): Key => ['k', listId],
  meta: (name: string): Key => ['m', name],
  /** First and last of a kind, for walks. */
  first: (kind: 'r' | 'c' | 'k'): Key => [kind],
  last: (kind: 'r' | 'c' | 'k'): Key => [kind, '\uffff'],
} as const

/** What can be asked of an environment. */
export interface OpenOptions {
  /** Trust only what was flushed, as after a power cut. LMDB does so by itself when the machine has started anew. */
  readonly safeRestore?: boolean
  /** Never set but by the power-cut test's control: acknowledges before anything is flushed. */
  readonly dangerouslyNoSync?: boolean
}

/** Opens or creates the environment in a folder. Throws IdempotencyError (`store_unavailable`) with the path. */
export function openEnvironment(path: string, options: OpenOptions): Environment {
  try {
    const existing = statSync(path, { throwIfNoEntry: false })
    if (existing !== undefined && !existing.isDirectory()) throw new Error('it is a file')
    const environment = open<Buffer, Key>({
      path,
      encoding: 'binary',
      useVersions: true,
      // A folder always, also when its name has a dot: the default looks at the name.
      noSubdir: false,
      maxReaders: 1024,
      ...(options.safeRestore ? { safeRestore: true } : {}),
      ...(options.dangerouslyNoSync ? { noSync: true } : {}),
    })
    // Slots of processes that were killed would hold back the reuse of pages for ever.
    environment.readerCheck()
    return environment
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new IdempotencyError(
      'store_unavailable',
      `The LMDB store at ${path} cannot be opened: ${reason}. Give a folder that this user may write to.`,
      {
        cause: error,
      },
    )
  }
}

/** Runs the writes only if the entry still has this revision (undefined: still absent). False when it has moved on. */
export function writeIf(
  environment: Environment,
  key: Key,
  revision: number | undefined,
  write: () => void,
): Promise<boolean> {
  return revision === undefined ? environment.ifNoExists(key, write) : environment.ifVersion(key, revision, write)
}
