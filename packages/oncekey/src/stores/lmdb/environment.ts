/** The LMDB environment: its options with their reasons, its keys, and conditional writes. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { IdempotencyError } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'

/** One database for all entries; each has a revision as its version, which grows with every write. */
export type Environment = RootDatabase<Buffer, Key>

/** Keys sort by kind, then by id. */
export type Key = string | (string | number)[]

/** The kinds of entries that are swept: records, chunks of bodies, keyless lists. */
export type Kind = 'r' | 'c' | 'k'

/** The key of a chunk, as it is read back. */
export type ChunkKey = [kind: 'c', id: string, attemptId: string, offset: number]

/** The keys of the kinds of entries. */
export const keys = {
  record: (id: RecordId): Key => ['r', id],
  chunk: (id: string, attemptId: string, offset: number): Key => ['c', id, attemptId, offset],
  step: (id: string, name: string): Key => ['s', id, name],
  keyless: (listId: string): Key => ['k', listId],
  meta: (name: string): Key => ['m', name],
  tally: (name: string, writer: string): Key => ['t', name, writer],
  /** First and last of a kind, for walks. */
  first: (kind: Kind | 't'): Key => [kind],
  last: (kind: Kind | 't'): Key => [kind, '\uffff'],
} as const

/** What can be asked of an environment. */
export interface OpenOptions {
  /** Never set but by the power-cut test's control: acknowledges what is not on the disk. */
  readonly dangerouslyNoSync?: boolean
}

/** Opens or creates the environment in a folder. Throws IdempotencyError (`store_unavailable`) with the path. */
export function openEnvironment(path: string, options: OpenOptions): Environment {
  try {
    refuseOther(path)
    const environment = open<Buffer, Key>({
      path,
      encoding: 'binary',
      useVersions: true,
      // A folder always, also when its name has a dot: the default looks at the name.
      noSubdir: false,
      maxReaders: 1024,
      // What can be seen is on the disk. With the driver's default (commit first, sync behind it) a process that joins
      // takes unsynced commits for synced ones and reuses pages that the last synced one needs: of the power cuts while
      // processes came and went, 1 to 3 % lost acknowledged outcomes, or the whole store. Nor is it faster: waiting
      // for that second sync, 64 pairs in flight came to 10,900–11,500/s, without it to 11,500–13,500/s.
      overlappingSync: false,
      ...(options.dangerouslyNoSync ? { noSync: true } : {}),
    })
    // Slots of processes that were killed would hold back the reuse of pages for ever.
    environment.readerCheck()
    hearFailedCommits(environment)
    return environment
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new IdempotencyError(
      'store_unavailable',
      `The LMDB store at ${path} cannot be opened: ${reason}. Give a folder that this user may write to.`,
      { cause: error },
    )
  }
}

/**
 * The driver makes a promise of its own for each commit, which nobody gets to see. When the commit fails (a full disk) it
 * is rejected, and a rejection that nobody hears ends the process.
 */
function hearFailedCommits(environment: Environment): void {
  const heard = (): void => {}
  // It is made right after this event, in the same turn, and may be another's a turn later.
  environment.on('beforecommit', () => queueMicrotask(() => void environment.committed.then(heard, heard)))
}

/** Where LMDB's first page says that it is one. */
const magic = { at: 24, bytes: [0xde, 0xc0, 0xef, 0xbe] } as const

/** The two pages that LMDB begins with. The power went while it wrote them where there is less: nothing is in it. */
const leastBytes = 8_192

/** LMDB maps whatever `data.mdb` it finds, and a file that is not one of its own ends the process with a SIGSEGV. */
function refuseOther(path: string): void {
  const existing = statSync(path, { throwIfNoEntry: false })
  if (existing !== undefined && !existing.isDirectory()) throw new Error('it is a file')
  const file = join(path, 'data.mdb')
  const bytes = (): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (bytes() === 0) return
  if (bytes() < leastBytes) {
    // Another process may be writing them at this moment.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    if (bytes() < leastBytes) throw new Error('its data.mdb is cut short')
  }
  const found = Buffer.alloc(magic.bytes.length)
  const descriptor = openSync(file, 'r')
  readSync(descriptor, found, 0, found.length, magic.at)
  closeSync(descriptor)
  if (!found.equals(Buffer.from(magic.bytes))) throw new Error('its data.mdb is no LMDB file')
}

/**
 * Where the revisions of a new entry begin. At random, for an entry that was purged and made anew must not come to the
 * number that a write, decided before and held up since, still expects.
 */
export function firstRevision(): number {
  return Math.floor(Math.random() * 2 ** 52)
}

/** Puts the entry only if it still has this revision (undefined: is still absent). False when it has moved on. */
export function putIf(
  environment: Environment,
  key: Key,
  revision: number | undefined,
  bytes: Buffer,
  next: number,
): Promise<boolean> {
  // The driver takes null for "only if absent", which its types leave out.
  const expected = (revision ?? null) as number
  return environment.put(key, bytes, next, expected).catch(failed)
}

/** Runs the writes only if the entry still has this revision (undefined: is still absent). */
export function writeIf(
  environment: Environment,
  key: Key,
  revision: number | undefined,
  write: () => void,
): Promise<boolean> {
  const written =
    revision === undefined ? environment.ifNoExists(key, write) : environment.ifVersion(key, revision, write)
  return written.catch(failed)
}

/** A commit that failed (disk full, map full) is the store's failure, with LMDB's own reason as the cause. */
export function failed(error: unknown): never {
  // The driver rejects this second promise too; unheard, it would end the process.
  const reason = (error as { readonly commitError?: Promise<unknown> }).commitError
  reason?.catch(() => {})
  throw new IdempotencyError('store_unavailable', 'LMDB could not write. Is the disk full?', { cause: error })
}
