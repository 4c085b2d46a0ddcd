/** What tenants keep of recorded outcomes, over all processes, and run here: who has his share executes nothing anew. */
import type { IdempotencyError } from 'oncekey/http'
import type { Store } from 'oncekey/store'
import { type Heap, overShare, type Share } from './share.ts'
import type { Entry, Tallying } from './tallying.ts'

/** What it needs beyond the ledger's parts. */
export interface KeptOptions {
  readonly share: Share
  /** Names a tenant exactly, in few bytes. */
  readonly digest: (tenant: string) => string
  readonly monotonicMs: () => number
  /** At least 0, less than 1. */
  readonly fraction: () => number
  /** Hears why the quota goes by less than all that is kept. */
  readonly inexact: (error: unknown) => void
}

/** What it is made of. */
export interface KeptParts extends KeptOptions {
  readonly store: Pick<Store, 'tallies'>
  readonly writer: string
  readonly tallying: Pick<Tallying, 'changed'>
  readonly wallMs: () => number
  readonly later: (delayMs: number, run: () => void) => () => void
}

/** Expiries are rounded up to a part of the retention, an hour for a day: nothing counts as gone that is there, and a tenant has few entries. */
const partsOfRetention = 24
/** Of a retention of seconds. */
const leastPartMs = 1_000
/** When it makes sense to look again whether something that runs has ended. */
const soonestMs = 1_000
/** How long what others count is not seen; longer where a read takes long, so that reading is a twentieth of the time at most. */
const readEveryMs = 2_000
const readEveryTimes = 20
const readEveryMostMs = 300_000
/** A process that has more entries than this, ten thousand tenants in each hour of a day, counts no further tenants. */
const maxEntries = 250_000

const namePrefix = '["kept",'

/** Digits of one length sort as numbers do. */
function nameOf(endMs: number, tenant: string): string {
  return JSON.stringify(['kept', String(endMs).padStart(16, '0'), tenant])
}

/** When the outcomes of such an entry are gone, and whose they are; undefined for a tally of something else. */
export function keptOf(name: string): { readonly endMs: number; readonly tenant: string } | undefined {
  const [, end, tenant] = /^\["kept","(\d{16})","([^"\\]+)"\]$/.exec(name) ?? []
  return tenant === undefined ? undefined : { endMs: Number(end), tenant }
}

/** Counts what this process records, and reads what the others do. */
export class Kept {
  readonly #parts: KeptParts
  readonly #own = new Map<string, Map<number, Entry>>()
  #entries = 0
  readonly #running = new Map<string, number>()
  #others: ReadonlyMap<string, readonly Heap[]> = new Map()
  #failing = false
  #cancel: (() => void) | undefined
  #closed = false

  constructor(parts: KeptParts) {
    this.#parts = parts
  }

  /** An execution begins, and may leave a record. Answers how to say that it has ended; once. */
  begin(tenant: string): () => void {
    const digest = this.#parts.digest(tenant)
    this.#running.set(digest, (this.#running.get(digest) ?? 0) + 1)
    return () => {
      const left = (this.#running.get(digest) ?? 1) - 1
      if (left === 0) this.#running.delete(digest)
      else this.#running.set(digest, left)
    }
  }

  /** An outcome of a tenant is about to be recorded, for so long. */
  add(tenant: string, bytes: number, forMs: number): void {
    const partMs = Math.max(leastPartMs, Math.ceil(forMs / partsOfRetention))
    const endMs = Math.min(Math.ceil((this.#parts.wallMs() + forMs) / partMs) * partMs, Number.MAX_SAFE_INTEGER)
    const entry = this.#entry(this.#parts.digest(tenant), endMs)
    if (entry === undefined) return
    const { records = 0, bytes: before = 0 } = entry.counts
    entry.counts = { records: records + 1, bytes: before + bytes }
    this.#parts.tallying.changed(entry, true)
  }

  /** Why nothing may be executed anew for a tenant; undefined: it may. */
  readonly admits = (tenant: string): IdempotencyError | undefined => {
    const nowMs = this.#parts.wallMs()
    const digest = this.#parts.digest(tenant)
    const heaps = [...(this.#others.get(digest) ?? [])]
    for (const [endMs, { counts }] of this.#own.get(digest) ?? []) heaps.push(heapOf(endMs, counts))
    // What runs may leave nothing, and soon.
    heaps.push({ endMs: nowMs + soonestMs, records: this.#running.get(digest) ?? 0, bytes: 0 })
    return overShare(this.#parts.share, heaps, nowMs)
  }

  /** Reads what is there, and goes on reading. Rejects when the store does not answer. */
  async start(): Promise<void> {
    await this.#read()
  }

  /** Reads no more. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  #entry(tenant: string, endMs: number): Entry | undefined {
    const known = this.#own.get(tenant)?.get(endMs)
    if (known !== undefined) return known
    if (this.#entries >= maxEntries) {
      this.#fails(new Error(`this process counts no more than ${maxEntries} entries of tenants`))
      return undefined
    }
    const entry: Entry = { name: nameOf(endMs, tenant), counts: {} }
    const entries = this.#own.get(tenant) ?? new Map<number, Entry>()
    this.#own.set(tenant, entries.set(endMs, entry))
    this.#entries += 1
    return entry
  }

  async #read(): Promise<void> {
    const { store, writer, monotonicMs, wallMs, fraction } = this.#parts
    const beganMs = monotonicMs()
    const found = new Map<string, Heap & { readonly tenant: string }>()
    let cursor: string | undefined
    do {
      const page = await store.tallies(cursor, namePrefix)
      for (const { name, writer: by, counts } of page.tallies) {
        const kept = keptOf(name)
        if (kept === undefined || by === writer || kept.endMs <= wallMs()) continue
        // A store may show an entry twice while it is written.
        found.set(`${by}\n${name}`, { tenant: kept.tenant, ...heapOf(kept.endMs, counts) })
      }
      cursor = page.cursor
    } while (cursor !== undefined && !this.#closed)
    const others = new Map<string, Heap[]>()
    for (const heap of found.values()) {
      const heaps = others.get(heap.tenant)
      if (heaps === undefined) others.set(heap.tenant, [heap])
      else heaps.push(heap)
    }
    this.#others = others
    this.#failing = false
    const everyMs = Math.min(Math.max(readEveryMs, (monotonicMs() - beganMs) * readEveryTimes), readEveryMostMs)
    this.#again(everyMs * (0.75 + fraction() / 2))
  }

  #again(delayMs: number): void {
    if (this.#closed) return
    this.#cancel = this.#parts.later(delayMs, () => {
      this.#forget()
      this.#read().catch((error: unknown) => {
        this.#fails(error)
        this.#again(readEveryMs)
      })
    })
  }

  /** Once, until a read has succeeded: it would say so every two seconds. */
  #fails(error: unknown): void {
    if (!this.#failing) this.#parts.inexact(error)
    this.#failing = true
  }

  /** Removes what is over of this process's own; the ledger removes what dead ones have left. */
  #forget(): void {
    const nowMs = this.#parts.wallMs()
    for (const [tenant, entries] of this.#own) {
      for (const [endMs, entry] of entries) {
        if (endMs > nowMs) continue
        entries.delete(endMs)
        this.#entries -= 1
        entry.counts = {}
        this.#parts.tallying.changed(entry, false)
      }
      if (entries.size === 0) this.#own.delete(tenant)
    }
  }
}

function heapOf(endMs: number, { records = 0, bytes = 0 }: Readonly<Record<string, number>>): Heap {
  return { endMs, records, bytes }
}
