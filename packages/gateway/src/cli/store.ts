/** Opens the store that a URL names. The only place of the gateway that knows stores by name. */
import { existsSync, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { memoryStore, type Store } from 'oncekey'
import { redacted, UsageError } from '../config/index.ts'

/** The store has this long to answer at the start. */
export const storeStartMs = 5_000

/** A store, and the end of whatever it needed. */
export interface OpenedStore {
  readonly store: Store
  close(): Promise<void>
}

/** How a store is opened. */
export interface OpenOptions {
  /** Creates or upgrades the PostgreSQL schema first. */
  readonly migrate: boolean
  /** Makes no store where there is none: for commands that look at one. */
  readonly existing: boolean
}

/** What a URL may begin with, as a sentence says it. */
const storeForms = 'lmdb:PATH, redis://HOST, redis+cluster://HOST:PORT,…, postgres://HOST/DATABASE or memory:'

/**
 * The store behind a URL, once it has let this process in. Throws UsageError for a URL that cannot be right, and an Error
 * of one sentence, without a password, for a database that cannot be had.
 */
export async function openStore(url: string, options: OpenOptions): Promise<OpenedStore> {
  // Databases and drivers are loaded only where they are used.
  if (/^rediss?(?:\+\w+)?:\/\//.test(url)) return (await import('./redis.ts')).openRedis(url)
  if (/^postgres(?:ql)?:\/\//.test(url)) return (await import('./postgres.ts')).openPostgres(url, options)
  if (url === 'memory:') return closing(memoryStore())
  const path = /^lmdb:(.+)$/s.exec(url)?.[1]
  if (path === undefined) {
    throw new UsageError(`The store "${redacted(url)}" is not one this version has. Use ${storeForms}.`)
  }
  return closing(await openLmdb(resolve(path), options))
}

async function openLmdb(path: string, { existing }: OpenOptions): Promise<Store> {
  if (existing && !existsSync(path)) throw new Error(`There is no store at ${path}. Check --store.`)
  const { lmdbStore } = await import('oncekey/lmdb')
  // Answers lie there in clear: a folder that is made is this user's alone.
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return lmdbStore(path)
}

function closing(store: Store): OpenedStore {
  return { store, close: () => store.close() }
}

/** Fails after `ms` with a sentence that names the store. */
export async function within<T>(ms: number, url: string, opening: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const hint = url.startsWith('lmdb:')
    ? 'Is another process holding it, or the disk full?'
    : 'Is it running, and can this machine reach it?'
  const sentence = `The store ${redacted(url)} did not answer within ${ms / 1000} s. ${hint}`
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(sentence)), ms)
  })
  try {
    return await Promise.race([opening, late])
  } finally {
    clearTimeout(timer)
  }
}
