/** Opens the store that a URL names. The only place of the gateway that knows stores by name. */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { memoryStore, type Store } from 'oncekey'
import { redacted, UsageError } from '../config/index.ts'

/** The store behind `memory:` or `lmdb:PATH`. Throws UsageError for any other URL. */
export async function openStore(url: string): Promise<Store> {
  if (url === 'memory:') return memoryStore()
  const path = /^lmdb:(.+)$/s.exec(url)?.[1]
  if (path === undefined) {
    throw new UsageError(`The store "${redacted(url)}" is not one this version has. Use lmdb:PATH or memory:.`)
  }
  // The native database is loaded only where it is used.
  const { lmdbStore } = await import('oncekey/lmdb')
  // Answers lie there in clear: a folder that is made is this user's alone.
  mkdirSync(resolve(path), { recursive: true, mode: 0o700 })
  return lmdbStore(resolve(path))
}

/** Fails after `ms` with a sentence that names the store. */
export async function within<T>(ms: number, url: string, opening: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new Error(
            `The store ${redacted(url)} did not answer within ${ms / 1000} s. Is another process holding it, or the disk full?`,
          ),
        ),
      ms,
    )
  })
  try {
    return await Promise.race([opening, late])
  } finally {
    clearTimeout(timer)
  }
}
