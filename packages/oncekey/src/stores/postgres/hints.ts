/** Hints by NOTIFY: what one process has written wakes those in others who wait for it. */
import type { RecordId } from '../../core/key.ts'
import { Watchers } from '../../core/watchers.ts'
import type { PostgresPool, Query } from './database.ts'
import { type Ear, earOf } from './ear.ts'

/** PostgreSQL takes less than 8,000 bytes a message, and by default 63 of its channel's name besides. */
const messageBytes = 7_900

/** More than this many records are not told of in one go: those who wait for the rest find out by their polls. */
const mostUntold = 10_000

/**
 * A statement of its own, which nobody waits for, and not a part of the write. NOTIFY holds a lock of the whole server
 * while its transaction commits. Inside the settle that is the wait for the disk, which commits then no longer share: 16
 * pools did 650 pairs of claim and settle a second in place of 1,800, and a settle took 17 ms in place of 3.5. By itself
 * and without a wait for the disk, 1,450 and 4.6 ms. A message need not last, so `off` loses nothing.
 */
const notify = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1::text, message)
  FROM json_array_elements_text($2::text::json) AS messages (message)`

/** The hints of one store. Nothing is promised, and nothing here ever rejects: the poll goes on behind it. */
export class PostgresHints {
  readonly #query: Query
  readonly #channel: string
  readonly #openEar: () => Ear
  readonly #watchers = new Watchers()
  readonly #untold = new Set<string>()
  #telling = false
  #ear: Ear | undefined
  #closed = false

  /** The channel has the name of the schema. Throws `config_invalid` where the pool has no connection to listen on. */
  constructor(pool: PostgresPool, query: Query, schema: string) {
    this.#query = query
    this.#channel = schema
    this.#openEar = earOf(pool, schema, (message) => {
      for (const id of message.split(' ')) this.#watchers.tell(id)
    })
  }

  /** Connects with the first watch. */
  watch(recordId: RecordId, onHint: () => void): () => void {
    if (this.#closed) return () => undefined
    this.#ear ??= this.#openEar()
    return this.#watchers.add(recordId, onHint)
  }

  /** Tells others that these records have changed: all at once that came up while a message was on its way. */
  tell(recordIds: readonly RecordId[]): void {
    if (this.#closed) return
    for (const id of recordIds) if (this.#untold.size < mostUntold) this.#untold.add(id)
    if (!this.#telling) void this.#send()
  }

  close(): void {
    this.#closed = true
    this.#untold.clear()
    this.#watchers.clear()
    this.#ear?.close()
  }

  async #send(): Promise<void> {
    this.#telling = true
    while (this.#untold.size > 0) {
      const messages = JSON.stringify(messagesOf(this.#untold))
      this.#untold.clear()
      await this.#query(notify, [this.#channel, messages]).catch(() => undefined)
    }
    this.#telling = false
  }
}

/** The ids, as few messages as may be. */
function messagesOf(ids: Iterable<string>): readonly string[] {
  const messages: string[] = []
  let message = ''
  for (const id of ids) {
    if (message !== '' && Buffer.byteLength(message) + Buffer.byteLength(id) >= messageBytes) {
      messages.push(message)
      message = ''
    }
    message += message === '' ? id : ` ${id}`
  }
  return message === '' ? messages : [...messages, message]
}
